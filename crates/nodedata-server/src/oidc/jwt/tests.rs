use nodedata_testkit::issuer::Signer;
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).unwrap()
}

fn keys(signers: &[&Signer]) -> KeySet {
    let jwks = json!({"keys": signers.iter().map(|it| it.jwk()).collect::<Vec<_>>()});
    KeySet::parse(jwks.to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": "here", "sub": "ada", "iat": NOW - 5, "exp": NOW + 300})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn verified(token: &str, keys: &KeySet) -> Result<Claims, Invalid> {
    Unverified::parse(token)?.verify(keys, now())
}

#[test]
fn both_kinds_of_signatures_are_verified_and_each_by_its_key_alone() {
    let (curve, rsa) = (Signer::es256("curve"), Signer::rs256("rsa"));
    let both = keys(&[&curve, &rsa]);
    for signer in [&curve, &rsa] {
        let claims = verified(&signer.sign(&claims()), &both).unwrap();
        assert_eq!((claims.text("sub"), claims.audiences()), (Some("ada"), vec!["here"]));
        assert_eq!(claims.until().unwrap().timestamp(), NOW + 300);
    }
    let stranger = Signer::es256("curve");
    assert_eq!(verified(&stranger.sign(&claims()), &both), Err(Invalid::Signature));
    // One key for each kind: the header cannot name the other's.
    let lying = rsa.sign_under(&json!({"alg": "ES256", "kid": "rsa"}), &claims());
    assert_eq!(verified(&lying, &both), Err(Invalid::Key));
    let lying = rsa.sign_under(&json!({"alg": "ES256", "kid": "curve"}), &claims());
    assert_eq!(verified(&lying, &both), Err(Invalid::Signature));
    // Whatever of it is another, it was not signed.
    let token = curve.sign(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = curve.sign(&with("sub", "eve".into()));
    let (forged, _) = other.rsplit_once('.').unwrap();
    assert_eq!(verified(&format!("{forged}.{signature}"), &both), Err(Invalid::Signature));
    assert_eq!(verified(&format!("{signed}."), &both), Err(Invalid::Signature));
}

#[test]
fn no_token_says_how_it_is_to_be_believed() {
    let rsa = Signer::rs256("rsa");
    let set = keys(&[&rsa]);
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    // The public key as a secret that both know: what RS256 was taken for by those who let the token choose.
    for secret in [rsa.jwk().to_string(), rsa.jwk()["n"].as_str().unwrap().to_owned()] {
        let signed = format!("{}.{}", text(&json!({"alg": "HS256", "kid": "rsa"})), text(&claims()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes()));
        assert_eq!(verified(&format!("{signed}.{tag}"), &set), Err(Invalid::Algorithm));
    }
    for alg in ["none", "None", "NONE", "HS512", "RS512", "PS256", "ES384", "EdDSA", "rs256", ""] {
        let unsigned = format!("{}.{}.", text(&json!({"alg": alg})), text(&claims()));
        assert_eq!(verified(&unsigned, &set), Err(Invalid::Algorithm), "{alg}");
        let signed = rsa.sign_under(&json!({"alg": alg, "kid": "rsa"}), &claims());
        assert_eq!(verified(&signed, &set), Err(Invalid::Algorithm), "{alg}");
    }
    // Nor with which key, nor that something must be understood, nor as something else than an identity.
    let stranger = Signer::es256("mine");
    let header = json!({"alg": "ES256", "jwk": stranger.jwk(), "jku": "https://evil.example/keys"});
    assert_eq!(verified(&stranger.sign_under(&header, &claims()), &set), Err(Invalid::Key));
    let header = json!({"alg": "RS256", "kid": "rsa", "crit": ["x"], "x": 1});
    assert_eq!(verified(&rsa.sign_under(&header, &claims()), &set), Err(Invalid::Algorithm));
    for typ in ["logout+jwt", "at+jwt"] {
        let header = json!({"alg": "RS256", "kid": "rsa", "typ": typ});
        assert_eq!(verified(&rsa.sign_under(&header, &claims()), &set), Err(Invalid::Algorithm), "{typ}");
    }
}

#[test]
fn times_are_kept_to_and_only_what_lies_ahead_has_leeway() {
    let signer = Signer::es256("a");
    let set = keys(&[&signer]);
    let of = |name: &str, value: Value| verified(&signer.sign(&with(name, value)), &set).err();
    assert_eq!(of("exp", (NOW + 1).into()), None);
    for over in [NOW, NOW - 1, NOW - LEEWAY_SECONDS, 0, -1] {
        assert_eq!(of("exp", over.into()), Some(Invalid::Expired), "{over}");
    }
    for name in ["iat", "nbf"] {
        assert_eq!(of(name, (NOW + LEEWAY_SECONDS).into()), None, "{name}");
        assert_eq!(of(name, (NOW + LEEWAY_SECONDS + 1).into()), Some(Invalid::NotYet), "{name}");
        assert_eq!(of(name, i64::MAX.into()), Some(Invalid::NotYet), "{name}");
        assert_eq!(of(name, "soon".into()), Some(Invalid::Malformed), "{name}");
    }
    // Parts of a second are allowed, and nothing that is no time.
    assert_eq!(of("exp", (NOW as f64 + 1.5).into()), None);
    for bad in [json!("2030-01-01"), json!(1e300), Value::Null, json!([NOW + 5]), json!(u64::MAX)] {
        assert_eq!(of("exp", bad.clone()), Some(Invalid::Malformed), "{bad}");
    }
    for name in ["exp", "iat"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(verified(&signer.sign(&claims), &set), Err(Invalid::Malformed), "{name}");
    }
}

#[test]
fn a_key_is_found_by_its_name_or_where_it_is_alone() {
    let (one, other) = (Signer::es256("one"), Signer::es256("other"));
    let nameless = one.sign_under(&json!({"alg": "ES256"}), &claims());
    assert!(verified(&nameless, &keys(&[&one])).is_ok());
    assert_eq!(verified(&nameless, &keys(&[&one, &other])), Err(Invalid::Key), "nobody's choice is tried");
    assert_eq!(verified(&one.sign(&claims()), &keys(&[&other])), Err(Invalid::Key));
    // What is not for signatures, too short, or of another kind, is no key.
    let set = |change: &dyn Fn(&mut Value)| {
        let mut jwk = one.jwk();
        change(&mut jwk);
        KeySet::parse(json!({"keys": [jwk, other.jwk()]}).to_string().as_bytes()).unwrap()
    };
    let token = one.sign(&claims());
    assert!(verified(&token, &set(&|_| ())).is_ok());
    let broken: [&dyn Fn(&mut Value); 5] = [
        &|it| it["use"] = "enc".into(),
        &|it| it["alg"] = "ES384".into(),
        &|it| it["crv"] = "P-384".into(),
        &|it| it["x"] = "AAAA".into(),
        &|it| it["kty"] = "oct".into(),
    ];
    for (idx, change) in broken.iter().enumerate() {
        assert_eq!(verified(&token, &set(change)), Err(Invalid::Key), "{idx}");
    }
    for bad in ["{}", "[]", r#"{"keys": []}"#, r#"{"keys": [{"kty": "oct", "k": "AAAA"}, 7]}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn what_is_no_token_is_refused_whatever_it_is() {
    let signer = Signer::es256("a");
    let token = signer.sign(&claims());
    assert!(Unverified::parse(&format!(" {token}\n")).is_ok());
    for bad in
        ["", ".", "..", "...", "a.b.c", "ndp_AAAA", &token[1..], &format!("{token}="), &format!("{token}.x")]
    {
        assert!(Unverified::parse(bad).is_err(), "{bad}");
    }
    let long = signer.sign(&with("more", "x".repeat(JWT_BYTES_MAX).into()));
    assert_eq!(Unverified::parse(&long).unwrap_err(), Invalid::Malformed);
    let list =
        format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode("[]"));
    assert_eq!(Unverified::parse(&list).unwrap_err(), Invalid::Malformed);
}

#[test]
fn a_token_for_others_too_says_who_asked_for_it() {
    let signer = Signer::es256("a");
    let set = keys(&[&signer]);
    let is_for = |aud: Value, azp: Option<&str>| {
        let mut claims = with("aud", aud);
        if let Some(azp) = azp {
            claims["azp"] = azp.into();
        }
        verified(&signer.sign(&claims), &set).unwrap().is_for_client("here")
    };
    assert!(
        is_for("here".into(), None) && is_for(json!(["here"]), None) && is_for("here".into(), Some("here"))
    );
    assert!(is_for(json!(["here", "there"]), Some("here")));
    assert!(!is_for("there".into(), None) && !is_for("there".into(), Some("here")));
    assert!(!is_for(json!(["here", "there"]), None) && !is_for("here".into(), Some("there")));
    assert!(
        !is_for(json!([]), None) && !is_for(json!(["here", 7]), Some("there")) && !is_for(7.into(), None)
    );
}
