mod bodies;

use nodedata_registry::http::PUSH;
use serde_json::{Map, Value, json};

use crate::{
    numbers::{Number, Place},
    routes::{Body, ROUTES, Route},
};

/// The OpenAPI 3.1 description of the server, made from its table of routes.
pub fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|it| !it.is_page) {
        let path = route.path.replace("{*", "{");
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        operations[route.method.to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "node-data registry",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "ndp_…"}},
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    let has_200 = !route.answers.is_empty() && !route.statuses.contains(&201);
    // A number beyond its maximum is refused wherever one is taken.
    let refused = (!route.numbers.is_empty()).then_some(422);
    let body: &[u16] = if route.body == Body::Nothing { &[] } else { &[408, 413] };
    let known = (route.method == "GET").then_some(304);
    let always = [has_200.then_some(200), refused, known];
    // A token that is none is refused wherever it comes. Reads have lines in the audit log as well, and what was seen of a log is
    // kept: a full disk may stop any of them.
    let always = always.into_iter().chain([400, 401, 429, 500, 503, 507].map(Some));
    let mut statuses: Vec<u16> = always.flatten().chain(body.iter().chain(route.statuses).copied()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        responses.insert(status.to_string(), response(route, status));
    }
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "x-cost": route.cost,
        "parameters": parameters(route),
        "responses": responses,
    });
    if let Some(scope) = route.scope {
        operation["security"] = json!([{"token": []}]);
        operation["x-scope"] = json!(scope);
    }
    let content = match route.body {
        Body::Nothing => return operation,
        Body::Json(schema) => {
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
        }
        Body::Bytes => json!({"application/octet-stream": {}}),
        Body::Form(schema) => {
            let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
            json!({"application/x-www-form-urlencoded": {"schema": schema}})
        }
    };
    operation["requestBody"] = json!({"required": true, "content": content});
    operation
}

fn response(route: &Route, status: u16) -> Value {
    let description = match (status, route.answers) {
        (400.., _) => {
            return json!({
                "description": "It was not done, and why",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            });
        }
        (304, _) => return json!({"description": "The asker has it already, as `If-None-Match` says"}),
        (204, _) | (_, []) => return json!({"description": "Done"}),
        (206, _) => "The range",
        _ => "Done",
    };
    let content: Map<String, Value> = route.answers.iter().map(|it| ((*it).to_owned(), json!({}))).collect();
    json!({"description": description, "content": content})
}

fn parameters(route: &Route) -> Vec<Value> {
    let named = route.path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
    let names = named.map(|it| it.trim_start_matches('*'));
    let is_number = |name: &&str| route.numbers.iter().any(|it| it.place == Place::Path && it.name == *name);
    let texts = names
        .filter(|it| !is_number(it))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let queried = route.texts.iter().map(|(name, what)| {
        json!({"name": name, "in": "query", "required": false, "description": what, "schema": {"type": "string"}})
    });
    let push = matches!(route.id, "putPart" | "parts" | "seal").then(push_header);
    texts.chain(route.numbers.iter().map(number)).chain(push).chain(queried).collect()
}

fn push_header() -> Value {
    json!({
        "name": PUSH,
        "in": "header",
        "required": false,
        "description": "The push that was announced: parts of one are never mixed with those of another",
        "schema": {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"},
    })
}

fn number(number: &Number) -> Value {
    let place = match number.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    let mut schema = bodies::integer(0, number.max);
    if let Some(default) = number.default {
        schema["default"] = json!(default);
    }
    json!({
        "name": number.name,
        "in": place,
        "required": number.default.is_none(),
        "description": number.what,
        "schema": schema,
    })
}

fn schemas() -> Value {
    let mut schemas = bodies::schemas();
    schemas["Problem"] = problem();
    schemas
}

fn problem() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "kind"],
        "properties": {
            "type": text, "title": text, "status": {"type": "integer"},
            "code": {"type": "string", "description": "Short stable name, for programs"},
            "kind": {"type": "string", "description": "How the command classes it"},
            "where": {"type": "string", "description": "A field, a path, a part"},
            "fix": {"type": "string", "description": "What to do next"},
            "entry": {"type": "object", "description": "With `slot-taken`: the record that has the number, and its digest"},
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_once() {
        let ids: BTreeSet<&str> = ROUTES.iter().map(|it| it.id).collect();
        let asked: BTreeSet<(&str, &str)> = ROUTES.iter().map(|it| (it.method, it.path)).collect();
        assert_eq!((ids.len(), asked.len()), (ROUTES.len(), ROUTES.len()));
        let described = openapi();
        let n_described: usize =
            described["paths"].as_object().unwrap().values().map(|it| it.as_object().unwrap().len()).sum();
        assert_eq!(n_described, ROUTES.iter().filter(|it| !it.is_page).count());
        let seal = &described["paths"]["/v1/blobs/{target}"]["post"];
        assert_eq!(seal["x-scope"], "push");
        assert!(seal["responses"]["401"].is_object() && seal["responses"]["422"].is_object());
        for (path, operations) in described["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                for status in ["401", "507"] {
                    assert!(operation["responses"][status].is_object(), "{method} {path}: {status}");
                }
            }
        }
    }

    #[test]
    fn every_number_and_every_body_is_described() {
        let described = openapi();
        for route in ROUTES.iter().filter(|it| !it.is_page) {
            let operation = &described["paths"][route.path.replace("{*", "{")][route.method.to_lowercase()];
            let told: Vec<&Value> = operation["parameters"].as_array().unwrap().iter().collect();
            for number in route.numbers {
                let named: Vec<_> = told.iter().filter(|it| it["name"] == number.name).collect();
                assert_eq!(named.len(), 1, "{} {}", route.id, number.name);
                assert_eq!(named[0]["schema"]["maximum"], number.max, "{} {}", route.id, number.name);
            }
            // A parameter in the path of the table is one in the path of the description.
            let n_in_path = told.iter().filter(|it| it["in"] == "path").count();
            assert_eq!(n_in_path, route.path.matches('{').count(), "{}", route.id);
            if let Body::Json(schema) | Body::Form(schema) = route.body {
                let schema = &described["components"]["schemas"][schema];
                assert_eq!(schema["type"], "object", "{}", route.id);
            }
        }
    }
}
