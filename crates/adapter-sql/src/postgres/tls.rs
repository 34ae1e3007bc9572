//! Why there is no proven connection to the server that was meant, in words that name the way out.

use std::io;

use rustls::{CertificateError, Error};

/// What the driver says of a server that answers no to the question for TLS.
const NO_TLS: &str = "server does not support TLS";

/// A failure of the wire, or of the files that the address names.
pub(crate) fn wire_problem(cause: &io::Error) -> String {
    match cause.get_ref().and_then(|it| it.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(why)) => certificate_problem(why),
        _ if cause.kind() == io::ErrorKind::NotFound => {
            "a file that DATABASE_URL names (sslrootcert, sslcert, sslkey or a socket) is not there"
                .to_owned()
        }
        _ => cause.to_string(),
    }
}

/// A failure to begin with TLS.
pub(crate) fn tls_problem(cause: &str) -> String {
    if cause == NO_TLS {
        "the server does not speak TLS; switch it on there (ssl = on), or set sslmode=disable and \
         DATABASE_ALLOW_INSECURE=true in a network that you trust"
            .to_owned()
    } else {
        cause.to_owned()
    }
}

fn certificate_problem(why: &CertificateError) -> String {
    match why {
        // Two authorities may bear the same name: then it is the signature that does not fit.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is from an authority that is not known here; name the right one by \
             sslrootcert=FILE in DATABASE_URL"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name; use the name it was made for in DATABASE_URL, or \
             give the server a certificate for this one"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; renew it there, unless this machine's clock is wrong"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; look at this machine's clock".to_owned()
        }
        other => format!("the server's certificate is refused ({other}); give it a proper one"),
    }
}
