//! Certificates for throw-away servers, from an authority that nobody else trusts.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;

/// An authority of a test's own.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a server shows, and proves to be its own.
pub struct ServerCertificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new one, with a key that no other has.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        let name = "Authority of a MemoryChat test";
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// The certificate by which it is known, as a file holds it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a host's name or address, valid now.
    pub fn certify(&self, host: &str) -> ServerCertificate {
        self.certify_until(host, now() + Duration::from_hours(24))
    }

    /// The same, but it ended an hour ago.
    pub fn certify_in_the_past(&self, host: &str) -> ServerCertificate {
        self.certify_until(host, now() - Duration::from_hours(1))
    }

    fn certify_until(&self, host: &str, end: OffsetDateTime) -> ServerCertificate {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_before = now() - Duration::from_hours(48);
        params.not_after = end;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ServerCertificate {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are judged by the real time"
)]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
