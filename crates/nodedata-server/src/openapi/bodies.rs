//! What bodies of requests hold, with the maximum of every number in them: the same constants that they are read by.

use nodedata_registry::{
    BLOB_BYTES_MAX, POSITION_MAX, PUSH_BLOBS_MAX,
    gate::VALID_DAYS_MAX,
    http::{ACCESS_TOKEN, GRANT_EXCHANGE, ID_TOKEN, JWT},
};
use serde_json::{Value, json};

use crate::{database::TOKEN_DAYS_MAX, handlers::operation::OVERLAP_SECONDS_MAX, oidc::JWT_BYTES_MAX};

/// A whole number.
pub(super) fn integer(min: u64, max: u64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

/// The schemas that bodies refer to, by name.
pub(super) fn schemas() -> Value {
    json!({
        "Blob": blob(),
        "PushRequest": push_request(),
        "CommitRecord": commit_record(),
        "Sensitivity": sensitivity(),
        "AttestBody": attest(),
        "DecisionBody": {"type": "object", "properties": {"reason": {"type": "string"}}},
        "ExchangeForm": {
            "type": "object",
            "required": ["grant_type", "subject_token", "subject_token_type"],
            "properties": {
                "grant_type": {"const": GRANT_EXCHANGE},
                "subject_token": {"type": "string", "maxLength": JWT_BYTES_MAX, "description": "A JWT"},
                "subject_token_type": {"enum": [ID_TOKEN, JWT]},
                "requested_token_type": {"const": ACCESS_TOKEN},
            },
        },
        "RoleBody": {
            "type": "object",
            "required": ["role"],
            "properties": {"role": {"enum": ["reader", "pusher", "steward", "reviewer", "admin"]}},
        },
        "RotateBody": {
            "type": "object",
            "properties": {
                "valid_days": integer(1, u64::from(TOKEN_DAYS_MAX)),
                "overlap_seconds": integer(0, OVERLAP_SECONDS_MAX),
            },
        },
        "TokenBody": {
            "type": "object",
            "required": ["account", "scopes", "valid_days"],
            "properties": {
                "account": {"type": "string"},
                "scopes": texts(),
                "valid_days": integer(1, u64::from(TOKEN_DAYS_MAX)),
            },
        },
    })
}

fn named(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn digest() -> Value {
    json!({"type": "string", "pattern": "^(b3:)?[0-9a-f]{64}$", "description": "BLAKE3"})
}

fn blob() -> Value {
    json!({
        "type": "object",
        "required": ["b3", "sha256", "bytes"],
        "properties": {
            "b3": digest(),
            "sha256": {"type": "string"},
            "bytes": integer(0, BLOB_BYTES_MAX),
        },
    })
}

fn push_request() -> Value {
    json!({
        "type": "object",
        "required": ["push", "dataset", "blobs"],
        "properties": {
            "push": {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"},
            "dataset": {"type": "string"},
            "blobs": {"type": "array", "maxItems": PUSH_BLOBS_MAX, "items": named("Blob")},
        },
    })
}

/// Of what a record does, what any of its kinds says.
fn commit_record() -> Value {
    let count = || integer(0, POSITION_MAX);
    let ops =
        ["create", "publish", "tag", "attach", "withdraw", "declare", "purge", "move", "adopt", "delete"];
    let bump = json!({
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "proof": {
                "type": "object",
                "properties": {"kept": count(), "added": count(), "changed": count(), "removed": count()},
            },
        },
    });
    json!({
        "type": "object",
        "required": ["nd", "seq", "op_id", "author", "at", "op"],
        "properties": {
            "nd": {"const": "commit/1"},
            "seq": count(),
            "prev": digest(),
            "op_id": {"type": "string", "minLength": 1, "maxLength": 128},
            "author": {"type": "string", "description": "The server fills it in"},
            "at": {
                "type": "string",
                "description": "Empty: the server writes its own date. One that is more than five minutes from it is refused",
            },
            "op": {"enum": ops},
            "visibility": {"enum": ["private", "public"]},
            "sensitivity": named("Sensitivity"),
            "facts": {"type": "object"},
            "readme": named("Blob"),
            "revision": {"type": "string"},
            "bump": bump,
            "manifest": digest(),
            "tags": texts(),
            "tag": {"type": "string"},
            "kind": {"type": "string"},
            "blob": named("Blob"),
            "blobs": {"type": "array", "items": digest()},
            "reason": {"type": "string"},
            "state": {"type": "object", "description": "The server fills it in"},
            "sig": {"type": "object"},
        },
    })
}

fn sensitivity() -> Value {
    json!({
        "type": "object",
        "required": ["class"],
        "properties": {
            "class": {"type": "string"},
            "categories": texts(),
            "special_category": {"type": "boolean"},
            "basis": {"type": "string"},
            "regimes": texts(),
            "minors": {"type": "boolean"},
            "treatment": {"type": "array", "items": {"type": "object"}},
            "no_people_checked_by": {"type": "string"},
            "gate": {
                "type": "object",
                "required": ["kind", "approval", "valid_days"],
                "properties": {
                    "kind": {"type": "string"},
                    "policy": digest(),
                    "approval": {"type": "string"},
                    "valid_days": integer(1, u64::from(VALID_DAYS_MAX)),
                },
            },
        },
    })
}

fn attest() -> Value {
    json!({
        "type": "object",
        "required": ["policy", "subject", "purpose"],
        "properties": {
            "policy": digest(),
            "revision": {"type": "string"},
            "subject": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "user": {"type": "string", "description": "The server fills it in"},
                    "name": {"type": "string"},
                    "org": {"type": "string"},
                    "country": {"type": "string"},
                },
            },
            "purpose": {
                "type": "object",
                "required": ["text"],
                "properties": {"duo": texts(), "text": {"type": "string"}},
            },
            "affirm": texts(),
        },
    })
}
