//! A service that lies elsewhere below its address, or whose tokens name another issuer.

use domain::account::IdentityProvider;
use serde_json::json;
use testkit::fixtures::a_user;

use crate::support::{access, is_bad_token, is_unavailable, password, signed_up, world_with};

const ISSUER: &str = "https://auth.example.org/";

#[tokio::test]
async fn the_issuer_that_is_set_is_the_only_one() {
    let world = world_with(
        |config| config.issuer = Some(ISSUER),
        |settings| settings.issuer = Some(ISSUER.to_owned()),
    )
    .await;
    world.who(&access(&world.visitor())).await.unwrap();
    let address = format!("{}/auth/v1", world.upstream.url());
    let asked = world.upstream.calls().len();
    for other in [
        address.as_str(),
        "https://auth.example.org",
        "https://AUTH.example.org/",
        "memorychat",
    ] {
        let mut claims = world.claims();
        claims["iss"] = json!(other);
        is_bad_token(world.who(&world.token(&claims)).await, other);
    }
    assert_eq!(world.upstream.calls().len(), asked, "nobody is asked");
}

#[tokio::test]
async fn an_issuer_that_is_not_set_is_refused() {
    let world = world_with(|config| config.issuer = Some(ISSUER), |_| {}).await;
    is_bad_token(world.who(&access(&world.visitor())).await, ISSUER);
    // A log-in tells whose mistake it is: not that of who logs in.
    let email = a_user().email;
    let made = world.identity.sign_up(&email, &password(), None).await;
    is_unavailable(made, "a fresh token of another issuer");
}

#[tokio::test]
async fn auth_may_lie_at_the_root_or_elsewhere() {
    for (path, set) in [("", "/"), ("/gotrue", "/gotrue/")] {
        let world = world_with(
            |config| config.path = path,
            |settings| settings.auth_path = set.to_owned(),
        )
        .await;
        let tokens = signed_up(&world).await.tokens;
        let identity = world.who(&tokens.access).await.unwrap();
        world.identity.refresh(&tokens.refresh, None).await.unwrap();
        let out = world.identity.log_out(&identity, &tokens.access);
        out.await.unwrap();
        is_bad_token(world.who(&tokens.access).await, set);
        let paths: Vec<String> = (world.upstream.calls().into_iter())
            .map(|call| call.path)
            .collect();
        let asked = ["/signup", "/.well-known/jwks.json", "/token", "/logout"];
        assert_eq!(paths, asked);
    }
}
