//! Tokens against a key set in a file: which hold, and everything about one that may be wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use portway_testkit::signer::key_set;
use portway_testkit::{Signer, TempDir};
use serde_json::json;

use super::*;

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({
        "sub": "Ann", "preferred_username": "Ann A.", "groups": ["web", "ops"], "iss": "https://hub", "aud": "portway",
        "exp": seconds() + 60,
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn pointers() -> Pointers {
    Pointers {
        user: "/sub".to_owned(),
        name: Some("/preferred_username".to_owned()),
        groups: Some("/groups".to_owned()),
    }
}

fn checked_by(folder: &TempDir, keys: &str) -> JwtSessions {
    let file = folder.write("keys.json", keys);
    JwtSessions::new(KeySource::File(file), pointers(), Some("https://hub".to_owned()), Some("portway".to_owned()))
}

#[tokio::test]
async fn a_token_of_a_known_key_says_who_somebody_is() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256] {
        let (folder, signer) = (TempDir::new(), Signer::new(algorithm, "one"));
        let jwt = checked_by(&folder, &key_set(&[&Signer::new(Algorithm::ES256, "other"), &signer]));
        let wanted = claims(&json!({}));
        let session = jwt.look_up(&signer.sign(&wanted)).await.unwrap().unwrap();
        assert_eq!((&*session.user, session.name.as_deref()), ("ann", Some("Ann A.")), "{algorithm:?}");
        assert_eq!(session.groups.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["ops", "web"]);
        assert_eq!(Value::from(session.expires_at), wanted["exp"]);
        // A header without the key's name has every key tried.
        let unnamed = signer.sign_as(&Header::new(algorithm), &wanted);
        assert!(jwt.look_up(&unnamed).await.unwrap().is_some(), "{algorithm:?}");
        let several = signer.sign(&claims(&json!({"aud": ["elsewhere", "portway"], "exp": seconds() as f64 + 60.5})));
        assert!(jwt.look_up(&several).await.unwrap().is_some(), "{algorithm:?}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_is_nobodys() {
    let (folder, signer) = (TempDir::new(), Signer::new(Algorithm::ES256, "one"));
    let public = signer.jwk();
    let jwt = checked_by(&folder, &key_set(&[&signer]));
    let good = signer.sign(&claims(&json!({})));
    assert!(jwt.look_up(&good).await.unwrap().is_some());

    let without = |name: &str| {
        let mut claims = claims(&json!({}));
        claims.as_object_mut().unwrap().remove(name);
        signer.sign(&claims)
    };
    let with = |more: Value| signer.sign(&claims(&more));
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
    // Signed with what everybody knows, as if it were a secret.
    let AlgorithmParameters::EllipticCurve(point) = &public.algorithm else { panic!("a curve") };
    let confused = EncodingKey::from_secret(point.x.as_bytes());
    let confused = encode(&Header { alg: Algorithm::HS256, ..header.clone() }, &claims(&json!({})), &confused).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"one"}"#), parts[1]);
    let changed =
        format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims(&json!({"sub": "bob"})).to_string()), parts[2]);

    for (what, token) in [
        ("it is over", with(json!({"exp": seconds()}))),
        ("it is long over", with(json!({"exp": 1}))),
        ("it has no end", without("exp")),
        ("its end is no number", with(json!({"exp": "tomorrow"}))),
        ("it begins later", with(json!({"nbf": seconds() + 600}))),
        ("another issuer", with(json!({"iss": "https://elsewhere"}))),
        ("no issuer", without("iss")),
        ("another audience", with(json!({"aud": "elsewhere"}))),
        ("no audience", without("aud")),
        ("no user", without("sub")),
        ("a user who cannot be", with(json!({"sub": "a/../b"}))),
        ("a user who is no text", with(json!({"sub": ["ann"]}))),
        ("another key of the same name", Signer::new(Algorithm::ES256, "one").sign(&claims(&json!({})))),
        ("a key that is not there", Signer::new(Algorithm::ES256, "two").sign(&claims(&json!({})))),
        ("an extension", signer.sign_as(&Header { crit: Some(vec!["b64".to_owned()]), ..header }, &claims(&json!({})))),
        ("a public key as a secret", confused),
        ("no signature", unsigned),
        ("other claims", changed),
        ("one part less", format!("{}.{}", parts[0], parts[1])),
        ("one part more", format!("{good}.x")),
        ("nothing", String::new()),
        ("no token", "session".to_owned()),
    ] {
        assert_eq!(jwt.look_up(&token).await.unwrap(), None, "{what}: {token}");
    }
    // An audience that nobody configured is somebody else's.
    let open = JwtSessions::new(KeySource::File(folder.join("keys.json")), pointers(), None, None);
    assert_eq!(open.look_up(&good).await.unwrap(), None);
    assert!(open.look_up(&without("aud")).await.unwrap().is_some());
}

#[tokio::test]
async fn keys_that_may_not_check_signatures_check_none() {
    let (folder, signer) = (TempDir::new(), Signer::new(Algorithm::ES256, "one"));
    let token = signer.sign(&claims(&json!({})));
    let secret = URL_SAFE_NO_PAD.encode("a secret of all who read the set");
    let by_secret = EncodingKey::from_secret(b"a secret of all who read the set");
    let by_secret =
        encode(&Header { kid: Some("s".to_owned()), ..Header::new(Algorithm::HS256) }, &claims(&json!({})), &by_secret);
    let other = serde_json::to_value(Signer::new(Algorithm::EdDSA, "x").jwk()).unwrap();
    let mut for_secrets = serde_json::to_value(signer.jwk()).unwrap();
    for_secrets["use"] = json!("enc");
    let mut for_another = serde_json::to_value(signer.jwk()).unwrap();
    for_another["alg"] = json!("ES384");
    let shared = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": secret});
    for (key, token) in [(for_secrets, &token), (for_another, &token), (shared, &by_secret.unwrap())] {
        let jwt = checked_by(&folder, &json!({"keys": [other, key]}).to_string());
        assert_eq!(jwt.look_up(token).await.unwrap(), None, "{key}");
    }
}

#[tokio::test]
async fn without_keys_nobody_can_tell() {
    let folder = TempDir::new();
    for (keys, wanted) in
        [("", "no JSON"), ("{}", "no JSON"), (r#"{"keys":[]}"#, "no key"), (r#"{"keys":[{"kty":"x"}]}"#, "no key")]
    {
        let error = checked_by(&folder, keys).hold(&[]).await.unwrap_err().to_string();
        assert!(error.contains(wanted), "{keys}: {error}");
    }
    let jwt = JwtSessions::new(KeySource::File(folder.join("nowhere")), pointers(), None, None);
    assert!(jwt.hold(&[]).await.unwrap_err().to_string().contains("nowhere"));
}

#[tokio::test]
async fn a_key_that_leaves_the_set_takes_its_tokens_along() {
    let folder = TempDir::new();
    let (old, new) = (Signer::new(Algorithm::ES256, "old"), Signer::new(Algorithm::ES256, "new"));
    let jwt = checked_by(&folder, &key_set(&[&old]));
    let (mine, theirs) = (old.sign(&claims(&json!({}))), new.sign(&claims(&json!({}))));
    let held = async |token: &String| !jwt.hold(std::slice::from_ref(token)).await.unwrap().is_empty();
    assert!(held(&mine).await && !held(&theirs).await);
    folder.write("keys.json", key_set(&[&new]));
    portway_testkit::eventually_async("the new key to be read", async || held(&theirs).await).await;
    assert!(!held(&mine).await && held(&theirs).await);
    // What cannot be read again is believed for a while.
    folder.write("keys.json", "");
    assert!(!held(&mine).await && held(&theirs).await);
}
