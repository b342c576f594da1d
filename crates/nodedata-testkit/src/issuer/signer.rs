use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use serde_json::{Value, json};

/// Made once with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER | base64 -w 100`, since `ring` makes no
/// such keys: PKCS #1. It guards nothing.
const RSA: &str = include_str!("rsa.pkcs1.base64");

/// A private key, and the name under which its issuer publishes the public one.
pub struct Signer {
    kid: String,
    key: Key,
}

enum Key {
    Es256(Box<EcdsaKeyPair>),
    Rs256(Box<RsaKeyPair>),
}

impl Signer {
    /// A fresh key on P-256.
    pub fn es256(kid: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pkcs8 = pkcs8.expect("the system has randomness");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        Self { kid: kid.to_owned(), key: Key::Es256(Box::new(key.expect("it was just made"))) }
    }

    /// The one RSA key of the tests.
    pub fn rs256(kid: &str) -> Self {
        let text: String = RSA.split_whitespace().collect();
        let key =
            RsaKeyPair::from_der(&STANDARD.decode(text).expect("the file is base64")).expect("it is a key");
        Self { kid: kid.to_owned(), key: Key::Rs256(Box::new(key)) }
    }

    /// Its public half, as issuers publish it.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.key {
            Key::Es256(key) => {
                let point = key.public_key().as_ref();
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
                    "x": text(&point[1..33]), "y": text(&point[33..]),
                })
            }
            Key::Rs256(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({
                    "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
                    "n": text(&public.n),
                    "e": text(&public.e),
                })
            }
        }
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let alg = match &self.key {
            Key::Es256(_) => "ES256",
            Key::Rs256(_) => "RS256",
        };
        self.sign_under(&json!({"alg": alg, "kid": self.kid, "typ": "JWT"}), claims)
    }

    /// The same under any header, also one that lies.
    pub fn sign_under(&self, header: &Value, claims: &Value) -> String {
        let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", text(header), text(claims));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Es256(key) => {
                key.sign(&random, signed.as_bytes()).expect("the system has randomness").as_ref().to_vec()
            }
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .expect("the signature is as long as the modulus");
                signature
            }
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
