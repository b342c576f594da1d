use std::sync::Arc;

use crate::{
    app::App,
    call::{AtOnce, Call},
    handlers::{blobs, commits, gate, lists, login, operation, pushes, revisions, roles},
    numbers::{self, Number},
    page,
    refusal::Answered,
    reply::Reply,
};

/// One thing that can be asked. The router and the OpenAPI description are both made from the table, so that
/// neither knows what the other does not.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// With `{parameters}`.
    pub(crate) path: &'static str,
    /// Stable name.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// The scope it needs, for people; [`Self::needs_token`] and the handler decide.
    pub(crate) scope: Option<&'static str>,
    pub(crate) body: Body,
    /// What it costs whoever asks, in units: about what a range of 64 KiB costs.
    pub(crate) cost: u64,
    /// The whole numbers that it takes beside its body, each with its maximum.
    pub(crate) numbers: &'static [Number],
    /// The texts that it takes in its query, none of which must come, and what each is.
    pub(crate) texts: &'static [(&'static str, &'static str)],
    /// Media types that the answer may have; none where it is empty.
    pub(crate) answers: &'static [&'static str],
    /// Statuses beside 200, 304, 400, 401, 429, 500, 503 and 507, and what bodies bring.
    pub(crate) statuses: &'static [u16],
    /// Whether it is for browsers, which may send the token as a password.
    pub(crate) is_page: bool,
    pub(crate) handler: fn(&Arc<App>, &Call) -> Answered<Reply>,
    pub(crate) at_once: Option<AtOnce>,
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Nothing,
    /// JSON, of the schema with that name in the description.
    Json(&'static str),
    Bytes,
    /// A form, of the schema with that name in the description.
    Form(&'static str),
}

/// Longest form, in bytes: it holds one identity token, with what stands around it.
const FORM_BYTES_MAX: u64 = 64 << 10;

impl Body {
    /// How long it may be where bodies may have `max` bytes.
    pub(crate) fn bytes_max(self, max: u64) -> u64 {
        match self {
            Self::Nothing | Self::Json(_) | Self::Bytes => max,
            Self::Form(_) => max.min(FORM_BYTES_MAX),
        }
    }
}

impl Route {
    pub(crate) fn needs_token(&self) -> bool {
        self.scope.is_some()
    }

    /// What a request costs: its route's units, and one for each MiB of a body of so many bytes.
    pub(crate) fn cost_of(&self, body_bytes: u64) -> u64 {
        self.cost + if self.body == Body::Nothing { 0 } else { body_bytes >> 20 }
    }
}

const fn get(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: fn(&Arc<App>, &Call) -> Answered<Reply>,
) -> Route {
    Route {
        method: "GET",
        path,
        id,
        summary,
        scope: None,
        body: Body::Nothing,
        cost: 10,
        numbers: &[],
        texts: &[],
        answers: &["application/json"],
        statuses: &[404],
        is_page: false,
        handler,
        at_once: None,
    }
}

const fn post(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    scope: &'static str,
    body: Body,
    handler: fn(&Arc<App>, &Call) -> Answered<Reply>,
) -> Route {
    let route = get(path, id, summary, handler);
    Route { method: "POST", scope: Some(scope), body, statuses: &[403, 404, 409, 422], ..route }
}

const fn put(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    scope: &'static str,
    body: Body,
    handler: fn(&Arc<App>, &Call) -> Answered<Reply>,
) -> Route {
    let route = post(path, id, summary, scope, body, handler);
    Route { method: "PUT", answers: &[], statuses: &[204, 403, 404, 422], ..route }
}

const fn bytes(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: fn(&Arc<App>, &Call) -> Answered<Reply>,
) -> Route {
    let route = get(path, id, summary, handler);
    Route { answers: &["application/octet-stream"], statuses: &[206, 403, 404, 410, 416, 422], ..route }
}

const fn page(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    handler: fn(&Arc<App>, &Call) -> Answered<Reply>,
) -> Route {
    let route = get(path, id, summary, handler);
    Route { answers: &["text/html"], is_page: true, ..route }
}

const fn delete(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    scope: &'static str,
    handler: fn(&Arc<App>, &Call) -> Answered<Reply>,
) -> Route {
    let route = get(path, id, summary, handler);
    Route { method: "DELETE", scope: Some(scope), answers: &[], statuses: &[204, 403, 404, 422], ..route }
}

macro_rules! shared {
    ($handler:path) => {
        |app, call| $handler(app, call)
    };
}

/// Everything that can be asked.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        cost: 50,
        statuses: &[],
        answers: &["text/plain"],
        ..get("/healthz", "health", "Whether store and database answer", shared!(operation::health))
    },
    Route {
        cost: 20,
        answers: &["text/plain"],
        ..get("/metrics", "metrics", "Counters in Prometheus' text format", shared!(operation::metrics))
    },
    Route {
        cost: 20,
        ..get("/openapi.json", "openapi", "This description", shared!(operation::description))
    },
    Route {
        cost: 2,
        scope: Some("any"),
        statuses: &[],
        ..get("/v1/whoami", "whoami", "Whose token was sent, and its scopes", shared!(operation::whoami))
    },
    Route {
        cost: 100,
        numbers: &[numbers::LIMIT],
        texts: lists::TEXTS,
        statuses: &[422],
        ..get("/v1/datasets", "listDatasets", "The datasets that the asker may see", shared!(lists::list))
    },
    Route {
        cost: 20,
        statuses: &[403, 404, 410, 422],
        ..get(
            "/v1/d/{owner}/{name}",
            "showDataset",
            "A dataset, or with `@revision` behind the name one revision of it",
            revisions::show,
        )
    },
    Route {
        answers: &["application/json"],
        ..bytes(
            "/v1/d/{owner}/{name}/manifest",
            "manifest",
            "The manifest of a revision",
            revisions::manifest,
        )
    },
    Route {
        answers: &["application/json"],
        ..bytes("/v1/d/{owner}/{name}/schema", "schema", "The schema of a revision", revisions::schema)
    },
    Route {
        answers: &["text/plain"],
        ..bytes("/v1/d/{owner}/{name}/readme", "readme", "The card of a revision", revisions::readme)
    },
    Route {
        cost: 50,
        answers: &["application/ld+json"],
        statuses: &[403, 404, 410, 413, 422],
        ..get(
            "/v1/d/{owner}/{name}/croissant.json",
            "croissant",
            "A revision in Croissant 1.1 with RAI",
            revisions::croissant,
        )
    },
    Route {
        cost: 4,
        answers: &["application/vnd.apache.parquet", "application/json"],
        ..bytes(
            "/v1/d/{owner}/{name}/index/{table}",
            "indexTable",
            "An index table of a revision",
            revisions::index,
        )
    },
    Route {
        cost: 4,
        answers: &["application/vnd.apache.parquet"],
        numbers: &[numbers::SHARD],
        ..bytes(
            "/v1/d/{owner}/{name}/shards/{idx}",
            "shard",
            "A shard of a revision by its position",
            revisions::shard,
        )
    },
    Route {
        cost: 4,
        answers: &["application/jsonl"],
        ..bytes(
            "/v1/d/{owner}/{name}/provenance",
            "provenance",
            "The in-toto statements of a revision",
            revisions::provenance,
        )
    },
    Route {
        cost: 4,
        ..bytes(
            "/v1/d/{owner}/{name}/files/{*path}",
            "file",
            "A file of a revision by its path",
            revisions::file,
        )
    },
    Route {
        cost: 20,
        numbers: &[numbers::FROM],
        ..get("/v1/d/{owner}/{name}/log", "log", "Records of the log, in order", shared!(commits::log))
    },
    get(
        "/v1/d/{owner}/{name}/head",
        "head",
        "A snapshot of what the log adds up to, of now or the last that a record proves",
        shared!(commits::head),
    ),
    Route {
        cost: 200,
        statuses: &[201, 403, 404, 409, 422],
        ..post(
            "/v1/d/{owner}/{name}/commits",
            "commit",
            "Adds a record to the log; 409 with `entry` when its number is taken",
            "publish",
            Body::Json("CommitRecord"),
            shared!(commits::append),
        )
    },
    Route {
        cost: 200,
        ..post(
            "/v1/d/{owner}/{name}/purge",
            "removePurged",
            "Removes the blobs that the log says are purged, as far as nothing else needs them",
            "publish",
            Body::Nothing,
            shared!(commits::remove_purged),
        )
    },
    Route {
        cost: 100,
        ..post(
            "/v1/d/{owner}/{name}/pushes",
            "push",
            "Announces a push and says which parts must be sent",
            "push",
            Body::Json("PushRequest"),
            shared!(pushes::negotiate),
        )
    },
    delete(
        "/v1/pushes/{push}",
        "endPush",
        "Ends a push: its blobs are no longer protected",
        "push",
        shared!(pushes::end),
    ),
    Route {
        cost: 4,
        ..put(
            "/v1/blobs",
            "putBlobs",
            "Sends small blobs together: of each its BLAKE3 (32 bytes), its length (8, the least first), its bytes",
            "push",
            Body::Bytes,
            shared!(pushes::put_blobs),
        )
    },
    Route {
        cost: 4,
        numbers: &[numbers::PART, numbers::BYTES_OF_PART],
        ..put(
            "/v1/blobs/{b3}/parts/{part}",
            "putPart",
            "Sends a part of a blob: any order, any client, any number of times",
            "push",
            Body::Bytes,
            shared!(pushes::put_part),
        )
    },
    Route {
        cost: 4,
        scope: Some("push"),
        numbers: &[numbers::BYTES],
        statuses: &[403, 404, 422],
        ..get(
            "/v1/blobs/{b3}/parts",
            "parts",
            "Which parts of a blob are there: all of resume",
            shared!(pushes::parts),
        )
    },
    Route {
        answers: &[],
        statuses: &[204, 403, 404, 422],
        ..post(
            "/v1/blobs/{target}",
            "seal",
            "`{b3}:seal` ends the upload of a blob: its parts must fold to its digest",
            "push",
            Body::Json("Blob"),
            shared!(pushes::seal),
        )
    },
    Route {
        cost: 1,
        at_once: Some(blobs::get_at_once),
        ..bytes(
            "/v1/d/{owner}/{name}/blobs/{b3}",
            "blob",
            "A blob of a dataset, whole or one range of it",
            blobs::get,
        )
    },
    Route {
        cost: 2,
        ..bytes(
            "/v1/d/{owner}/{name}/blobs/{b3}/tree",
            "tree",
            "Chaining values of a blob: verifies its ranges",
            blobs::tree,
        )
    },
    Route {
        answers: &["text/plain"],
        statuses: &[404, 413, 422],
        ..get(
            "/v1/d/{owner}/{name}/agreement",
            "agreement",
            "The text that readers of a gated dataset agree to",
            shared!(gate::agreement),
        )
    },
    Route {
        cost: 20,
        scope: Some("read"),
        ..get(
            "/v1/d/{owner}/{name}/attest",
            "attestations",
            "Attestations: all for reviewers, one's own for others",
            shared!(gate::list),
        )
    },
    Route {
        cost: 50,
        statuses: &[201, 404, 409, 422],
        ..post(
            "/v1/d/{owner}/{name}/attest",
            "attest",
            "Asks for access to a gated dataset",
            "read",
            Body::Json("AttestBody"),
            shared!(gate::request),
        )
    },
    Route {
        cost: 50,
        ..post(
            "/v1/d/{owner}/{name}/attest/{target}",
            "decide",
            "`{id}:grant`, `{id}:deny`, `{id}:revoke` or `{id}:reset`: answers a request for access",
            "review",
            Body::Json("DecisionBody"),
            shared!(gate::decide),
        )
    },
    Route {
        cost: 100,
        scope: Some("admin"),
        answers: &["application/jsonl"],
        numbers: &[numbers::SINCE],
        statuses: &[403],
        ..get(
            "/v1/audit",
            "audit",
            "Lines of the hash-chained audit log; empty past the end",
            shared!(operation::audit),
        )
    },
    Route {
        scope: Some("admin"),
        statuses: &[403, 404],
        ..get(
            "/v1/audit/head",
            "auditHead",
            "Where the audit log ends, signed: kept elsewhere, it shows a log that was cut",
            shared!(operation::audit_head),
        )
    },
    Route {
        cost: 2,
        ..get(
            "/v1/auth/oidc",
            "loginOffer",
            "How people log in: issuer, client and scopes; 404 where there is no issuer for them",
            shared!(login::offer),
        )
    },
    Route {
        cost: 200,
        scope: None,
        statuses: &[401, 403, 404, 422],
        ..post(
            "/v1/auth/exchange",
            "exchangeToken",
            "Makes a token in the place of an identity token of an issuer that is trusted (RFC 8693)",
            "any",
            Body::Form("ExchangeForm"),
            shared!(login::exchange),
        )
    },
    Route {
        scope: Some("any"),
        statuses: &[],
        ..get(
            "/v1/tokens",
            "listTokens",
            "Tokens without their secrets: all for operators, one's own account's for others",
            shared!(operation::tokens),
        )
    },
    Route {
        statuses: &[201, 403, 404, 422],
        ..post(
            "/v1/tokens/{id}/rotate",
            "rotateToken",
            "Makes a token in the place of another: of any for operators, of the one that is sent for others",
            "any",
            Body::Json("RotateBody"),
            shared!(operation::rotate_token),
        )
    },
    Route {
        cost: 100,
        statuses: &[201, 403, 422],
        ..post(
            "/v1/tokens",
            "createToken",
            "Makes a token; the only time that it is told",
            "admin",
            Body::Json("TokenBody"),
            shared!(operation::create_token),
        )
    },
    Route {
        cost: 100,
        ..delete(
            "/v1/tokens/{id}",
            "revokeToken",
            "Takes a token back, at once",
            "admin",
            shared!(operation::revoke_token),
        )
    },
    Route {
        scope: Some("any"),
        statuses: &[],
        ..get(
            "/v1/roles",
            "listRoles",
            "Roles: all for operators, those on what they manage for its admins, and one's own",
            shared!(roles::list),
        )
    },
    put(
        "/v1/roles/{owner}/{name}/{who}",
        "giveRole",
        "Gives `account:NAME` or `group:NAME` a role on a dataset, or with `*` as name on all of an owner",
        "roles",
        Body::Json("RoleBody"),
        shared!(roles::give),
    ),
    delete(
        "/v1/roles/{owner}/{name}/{who}",
        "takeRole",
        "Takes a role away, at once",
        "roles",
        shared!(roles::take),
    ),
    Route {
        scope: Some("any"),
        statuses: &[],
        ..get(
            "/v1/groups",
            "listGroups",
            "Groups with their members: all for operators, those that they are in for others",
            shared!(roles::groups),
        )
    },
    put(
        "/v1/groups/{group}/members/{account}",
        "addMember",
        "Puts an account into a group, which is made when it is not there",
        "admin",
        Body::Nothing,
        shared!(roles::add_member),
    ),
    delete(
        "/v1/groups/{group}/members/{account}",
        "removeMember",
        "Takes an account out of a group, at once",
        "admin",
        shared!(roles::remove_member),
    ),
    Route { cost: 100, ..page("/", "home", "Page: the datasets", page::home) },
    Route { cost: 1, answers: &["text/css"], ..get("/style.css", "style", "The pages' style", page::style) },
    page(
        "/login",
        "login",
        "Page: sends a browser to the issuer, or asks it for a token, as a password",
        page::login,
    ),
    // It asks the issuer.
    Route {
        cost: 200,
        ..page(
            "/login/callback",
            "loginCallback",
            "Page: where a browser comes back from the issuer",
            page::login_callback,
        )
    },
    Route { method: "POST", ..page("/logout", "logout", "Page: ends a login of a browser", page::logout) },
    Route {
        cost: 100,
        ..page("/d/{owner}/{name}", "card", "Page: card, schema and statistics of a revision", page::card)
    },
    Route {
        cost: 200,
        ..page(
            "/d/{owner}/{name}/revisions",
            "revisions",
            "Page: revisions, and how each differs from the one before",
            page::revisions,
        )
    },
];
