//! Tokens that are believed, and all those that are not.

use super::jwt::packed;
use super::*;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// 2027-01-15, in seconds.
const NOW: u64 = 1_800_000_000;

fn now() -> Time {
    Time::from_millis(NOW * 1_000)
}

fn alice(exp: u64) -> Claims {
    let read = vec!["maps/*".parse().unwrap()];
    let write = vec!["maps/alice/**".parse().unwrap()];
    Claims { read, write, ..Claims::new("alice", exp) }
}

fn denied(access: &Access, token: &str) -> Denied {
    match access.grant(Some(token), now()) {
        Err(denied) => denied,
        Ok(grant) => panic!("{grant:?}"),
    }
}

/// A token with any header and claims, signed with a secret.
fn forged(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", packed(header.as_bytes()), packed(claims.as_bytes()));
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&signed);
    format!("{signed}.{}", packed(&mac.finalize().into_bytes()))
}

#[test]
fn a_token_grants_what_it_says_and_no_more() {
    for key in [SigningKey::generate_hs256("1").unwrap(), SigningKey::generate_ed25519("1").unwrap()] {
        let access = Access::keys([key.verifying()]);
        let grant = access.grant(Some(&key.sign(&alice(NOW + 60))), now()).unwrap();
        assert_eq!(grant.subject(), Some(&Subject::new("alice")));
        assert_eq!(grant.expires(), Some(Time::from_millis((NOW + 60) * 1_000 + LEEWAY_MILLIS)));
        let may = |name: &str| (grant.may(Right::Read, name), grant.may(Right::Write, name));
        assert_eq!(may("maps/mill"), (true, false));
        assert_eq!(may("maps/alice/a/b"), (true, true), "who may write may read");
        assert_eq!(may("maps/bob/a"), (false, false));
        assert_eq!(may("plans"), (false, false));
    }
}

/// RFC 7515, appendix A.1: not our own idea of HS256. It expired in 2011 and names no subject, so it is the claims that
/// are refused, and with a byte changed the signature.
#[test]
fn the_example_of_the_standard_verifies() {
    let key = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let access = Access::keys([Key::parse(key, None, None).unwrap()]);
    assert_eq!(denied(&access, token), Denied::Claims);
    assert_eq!(denied(&access, &token.replace("dBj", "dBk")), Denied::Signature);
}

/// RFC 8037, appendix A.4: the signature there is of another payload than claims.
#[test]
fn the_example_of_the_standard_verifies_with_a_public_key_too() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let access = Access::keys([Key::parse(key, None, None).unwrap()]);
    assert_eq!(denied(&access, token), Denied::Claims);
    assert_eq!(denied(&access, &token.replace("hgyY", "hgyZ")), Denied::Signature);
}

#[test]
fn a_token_without_a_signature_is_none() {
    let access = Access::keys([SigningKey::generate_hs256("1").unwrap().verifying()]);
    let claims = r#"{"sub":"mallory","exp":1900000000,"write":["**"]}"#;
    for alg in ["none", "None", "NONE", "", "HS512", "RS256", "ES256"] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let unsigned = format!("{}.{}.", packed(header.as_bytes()), packed(claims.as_bytes()));
        assert_eq!(denied(&access, &unsigned), Denied::Signature, "{alg}");
        assert_eq!(denied(&access, &forged(&header, claims, b"")), Denied::Signature, "{alg}");
    }
}

/// Everybody knows a public key; it must not do as a shared secret, in whatever form its bytes are taken.
#[test]
fn a_public_key_is_no_secret() {
    let key = SigningKey::generate_ed25519("1").unwrap();
    let access = Access::keys([key.verifying()]);
    let claims = r#"{"sub":"mallory","exp":1900000000,"write":["**"]}"#;
    let public = key.to_public_jwk().unwrap();
    let x: serde_json::Value = serde_json::from_str(&public).unwrap();
    let x = x["x"].as_str().unwrap();
    for secret in [
        public.as_bytes(),
        x.as_bytes(),
        &base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, x).unwrap(),
    ] {
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"1"}"#, r#"{"alg":"EdDSA"}"#] {
            assert_eq!(denied(&access, &forged(header, claims, secret)), Denied::Signature);
        }
    }
}

#[test]
fn keys_are_rotated_by_having_several() {
    let [old, new, other] = ["old", "new", "other"].map(|id| SigningKey::generate_ed25519(id).unwrap());
    let secret = SigningKey::parse("a shared secret of 32 bytes or more", Some(Algorithm::Hs256)).unwrap();
    let both = Access::keys([old.verifying(), new.verifying(), secret.verifying()]);
    for key in [&old, &new, &secret] {
        assert!(both.grant(Some(&key.sign(&alice(NOW + 60))), now()).is_ok(), "{key:?}");
    }
    assert_eq!(denied(&both, &other.sign(&alice(NOW + 60))), Denied::Signature);
    let rotated = Access::keys([new.verifying()]);
    assert_eq!(denied(&rotated, &old.sign(&alice(NOW + 60))), Denied::Signature, "its key was taken away");
    // Without an id every key of the algorithm is tried, with one only that key.
    let pem = |key: &SigningKey, id: Option<&str>| {
        Key::parse(&key.to_public_jwk().unwrap(), id, Some(Algorithm::EdDsa)).unwrap()
    };
    let renamed = Access::keys([pem(&old, Some("another name"))]);
    assert_eq!(denied(&renamed, &old.sign(&alice(NOW + 60))), Denied::Signature);
    let nameless = old.to_jwk().replace(r#""kid":"old","#, "");
    let nameless = SigningKey::parse(&nameless, None).unwrap();
    assert!(both.grant(Some(&nameless.sign(&alice(NOW + 60))), now()).is_ok());
}

#[test]
fn a_token_is_valid_in_its_time_only() {
    let key = SigningKey::generate_hs256("1").unwrap();
    let access = Access::keys([key.verifying()]);
    let leeway = LEEWAY_MILLIS / 1_000;
    assert!(access.grant(Some(&key.sign(&alice(NOW - leeway + 1))), now()).is_ok());
    assert_eq!(denied(&access, &key.sign(&alice(NOW - leeway))), Denied::Expired);
    let from = |nbf| key.sign(&Claims { nbf: Some(nbf), ..alice(NOW + 600) });
    assert!(access.grant(Some(&from(NOW + leeway)), now()).is_ok());
    assert_eq!(denied(&access, &from(NOW + leeway + 1)), Denied::NotYet);
}

#[test]
fn a_token_must_say_who_and_until_when() {
    let secret = [7; 32];
    let key = Key::parse(&format!(r#"{{"kty":"oct","k":"{}"}}"#, packed(&secret)), None, None).unwrap();
    let access = Access::keys([key]);
    let with = |claims: &str| forged(r#"{"alg":"HS256"}"#, claims, &secret);
    for claims in [
        r#"{}"#,
        r#"{"sub":"alice"}"#,
        r#"{"exp":1900000000}"#,
        r#"{"sub":"","exp":1900000000}"#,
        r#"{"sub":7,"exp":1900000000}"#,
        r#"{"sub":"alice","exp":"tomorrow"}"#,
        r#"{"sub":"alice","exp":-1}"#,
        r#"{"sub":"alice","exp":1e300}"#,
        r#"{"sub":"alice","exp":1900000000,"read":"**"}"#,
        r#"{"sub":"alice","exp":1900000000,"write":[1]}"#,
        r#"["sub"]"#,
        "not JSON",
        "",
    ] {
        assert_eq!(denied(&access, &with(claims)), Denied::Claims, "{claims}");
    }
    let nothing = access.grant(Some(&with(r#"{"sub":"alice","exp":1900000000.5}"#)), now()).unwrap();
    assert!(!nothing.may(Right::Read, "map"));
}

#[test]
fn a_token_for_somebody_else_is_not_for_us() {
    let key = SigningKey::generate_hs256("1").unwrap();
    let anybody = Access::keys([key.verifying()]);
    let ours = anybody.clone().for_audience(Some("maps.example".to_owned()));
    let meant_for = |aud: Option<&str>| key.sign(&Claims { aud: aud.map(str::to_owned), ..alice(NOW + 60) });
    assert!(ours.grant(Some(&meant_for(Some("maps.example"))), now()).is_ok());
    assert!(anybody.grant(Some(&meant_for(None)), now()).is_ok());
    assert_eq!(denied(&ours, &meant_for(Some("bank.example"))), Denied::Audience);
    assert_eq!(denied(&ours, &meant_for(None)), Denied::Audience);
    assert_eq!(denied(&anybody, &meant_for(Some("bank.example"))), Denied::Audience);
}

#[test]
fn what_is_no_token_is_refused_without_an_echo() {
    let key = SigningKey::generate_hs256("1").unwrap();
    let access = Access::keys([key.verifying()]);
    assert_eq!(access.grant(None, now()).unwrap_err(), Denied::NoToken);
    assert_eq!(denied(&access, ""), Denied::NoToken);
    let whole = key.sign(&alice(NOW + 60));
    let crit = forged(r#"{"alg":"HS256","crit":["b64"]}"#, "{}", b"");
    let long = format!("{whole}{}", "x".repeat(10_000));
    for token in ["hunter2", "a.b", "....", "a.b.c", "%.%.%", &crit, &long] {
        let error = denied(&access, token);
        assert!(matches!(error, Denied::Malformed(_)), "{token}: {error:?}");
        assert!(!error.to_string().contains("hunter2"));
    }
    // Each byte counts.
    for at in 0..whole.len() {
        let mut changed = whole.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        if changed != whole {
            assert!(access.grant(Some(&changed), now()).is_err(), "byte {at}");
        }
    }
}

#[test]
fn keys_are_read_in_every_form_and_never_shown() {
    // Made by OpenSSL.
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let signer = SigningKey::parse(private, None).unwrap();
    // RFC 8037, appendix A.1 and A.2, has the same key.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    let token = signer.sign(&alice(NOW + 60));
    for text in [private, jwk, public] {
        let key = Key::parse(text, Some("id"), Some(Algorithm::EdDsa)).unwrap();
        assert!(Access::keys([key.clone()]).grant(Some(&token), now()).is_ok(), "{text}");
        assert!(!format!("{key:?}").contains("11qY"));
        assert!(Key::parse(text, None, Some(Algorithm::Hs256)).is_err(), "{text}");
    }
    assert_eq!(SigningKey::parse(public, None).unwrap_err(), KeyError::Public);
    assert_eq!(Key::parse("short", None, Some(Algorithm::Hs256)).unwrap_err(), KeyError::Short(5));
    assert_eq!(Key::parse(&"a secret ".repeat(9), None, None).unwrap_err(), KeyError::Form);
    assert_eq!(Key::parse(r#"{"kty":"RSA"}"#, None, None).unwrap_err(), KeyError::Form);
    let generated = SigningKey::generate_hs256("1").unwrap();
    assert!(generated.to_public_jwk().is_none());
    let again = SigningKey::parse(&generated.to_jwk(), None).unwrap();
    assert_eq!(again.sign(&alice(NOW)), generated.sign(&alice(NOW)));
}

#[test]
fn the_configuration_says_who_comes_in_and_hides_what_is_secret() {
    let secret = "a shared secret of 32 bytes or more";
    let key = KeyConfig {
        id: Some("portal".to_owned()),
        algorithm: Some(Algorithm::Hs256),
        value: Some(Secret::new(secret)),
        ..KeyConfig::default()
    };
    let config = Config { keys: vec![key.clone()], ..Config::default() };
    let access = config.load().unwrap();
    assert!(!access.is_open());
    assert!(!format!("{config:?}{}", serde_json::to_string(&config).unwrap()).contains(secret));
    assert!(Config { open: true, ..Config::default() }.load().unwrap().is_open());
    let error = |config: Config| config.load().unwrap_err().to_string();
    assert!(error(Config::default()).contains("--open"));
    assert!(error(Config { open: true, ..config.clone() }).contains("one or the other"));
    assert!(error(Config { keys: vec![key.clone(), key.clone()], ..config.clone() }).contains("portal"));
    let nowhere = KeyConfig { value: None, ..key.clone() };
    assert!(error(Config { keys: vec![nowhere], ..config.clone() }).contains("exactly one"));
    let missing = KeyConfig { value: None, file: Some("no such file".into()), ..key };
    assert!(error(Config { keys: vec![missing], ..config }).contains("portal"));
}

/// Under however many ids it is listed, what a key has signed is revoked when it is gone, and not before.
#[test]
fn a_key_under_two_ids_is_one_key() {
    let key = SigningKey::generate_ed25519("a").unwrap();
    let jwk = key.to_public_jwk().unwrap();
    let keys = |ids: &[&str]| {
        let keys: Vec<Key> = ids.iter().map(|id| Key::parse(&jwk, Some(id), None).unwrap()).collect();
        Access::keys(keys)
    };
    let token = key.sign(&Claims::new("anna", 2_000_000_000));
    for ids in [["a", "b"], ["b", "a"]] {
        let mut access = keys(&ids);
        let grant = access.grant(Some(&token), Time::from_millis(1_800_000_000_000)).unwrap();
        let is_revoked = || grant.revoked().unwrap().is_cancelled();
        keys(&ids).succeed(&mut access).unwrap();
        keys(&["b"]).succeed(&mut access).unwrap();
        keys(&ids).succeed(&mut access).unwrap();
        assert!(!is_revoked());
        let other = SigningKey::generate_ed25519("c").unwrap();
        Access::keys([other.verifying()]).succeed(&mut access).unwrap();
        assert!(is_revoked(), "the key is gone, and what it signed counts");
    }
}
