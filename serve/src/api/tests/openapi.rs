//! The document of the API, made of the table of routes and the types of the requests.

use std::collections::BTreeSet;

use axum::body::Body;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::harness::{get, request, send};
use super::routes::{ROUTES, Route};
use crate::api::openapi::DOCUMENT;
use crate::dialect::Dialect;

/// Set to write the file: `SISKIN_WRITE_OPENAPI=1 cargo test -p siskin-serve openapi`.
const WRITE: &str = "SISKIN_WRITE_OPENAPI";

fn error_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "Error",
        Dialect::Ollama => "OllamaError",
        Dialect::Anthropic => "AnthropicError",
    }
}

fn errors() -> Map<String, Json> {
    let text = json!({ "type": "string" });
    let inner = json!({
        "type": "object",
        "required": ["message", "type"],
        "properties": {
            "message": text,
            "type": text,
            "param": { "type": ["string", "null"], "description": "The field that is wrong." },
            "code": { "type": ["string", "null"] },
            "n_prompt_tokens": { "type": "integer" },
            "n_ctx": { "type": "integer" },
        },
    });
    let outer =
        |error: &Json| json!({ "type": "object", "required": ["error"], "properties": { "error": error } });
    let mut anthropic = outer(&json!({
        "type": "object",
        "required": ["type", "message"],
        "properties": { "type": text, "message": text },
    }));
    anthropic["properties"]["type"] = json!({ "const": "error" });
    let list = [
        ("Error", outer(&inner)),
        ("OllamaError", outer(&text)),
        ("AnthropicError", anthropic),
    ];
    list.into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

fn answer(route: &Route) -> Json {
    let schema = match route.fields {
        [] => json!({}),
        fields => json!({ "type": "object", "required": fields }),
    };
    let mut content = json!({ "application/json": { "schema": schema } });
    if let Some(stream) = route.stream {
        content[stream] = json!({ "schema": { "type": "string" } });
    }
    json!({ "description": "The answer.", "content": content })
}

fn operation(route: &Route, body: Option<Json>) -> Json {
    let error = json!({ "$ref": format!("#/components/schemas/{}", error_name(route.dialect())) });
    let responses = route.statuses.iter().map(|status| {
        let response = match status {
            200 => answer(route),
            _ => json!({
                "description": "It is refused.",
                "content": { "application/json": { "schema": error } },
            }),
        };
        (status.to_string(), response)
    });
    let mut operation = json!({ "summary": route.summary, "responses": responses.collect::<Map<_, _>>() });
    let parameters = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Json> = parameters
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(schema) = body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    // Health tells nothing that a key would keep.
    if route.statuses.contains(&401) {
        operation["security"] = json!([{ "key": [] }, {}]);
    }
    operation
}

fn document() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Json> = Map::new();
    for route in ROUTES {
        let body = route.request.map(|schema| schema(&mut generator).to_value());
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route, body);
    }
    let mut schemas = generator.take_definitions(true);
    schemas.extend(errors());
    json!({
        "openapi": "3.1.0",
        "info": { "title": "siskin", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// A line for each path and each schema, so that changes can be read.
fn written(document: &Json) -> String {
    let mut text = String::from("{\n");
    let map = |value: &Json| value.as_object().cloned().unwrap_or_default();
    let lines = |name: &str, values: Map<String, Json>| {
        let lines: Vec<String> = values
            .iter()
            .map(|(key, value)| format!("{}:{value}", json!(key)))
            .collect();
        format!("\"{name}\":{{\n{}\n}}", lines.join(",\n"))
    };
    text += &format!(
        "\"openapi\":{},\n\"info\":{},\n",
        document["openapi"], document["info"]
    );
    text += &lines("paths", map(&document["paths"]));
    text += ",\n\"components\":{\n";
    text += &lines("schemas", map(&document["components"]["schemas"]));
    text += &format!(
        ",\n\"securitySchemes\":{}\n}}\n}}\n",
        document["components"]["securitySchemes"]
    );
    text
}

#[test]
fn the_document_that_is_served_is_that_of_the_types() {
    let text = written(&document());
    assert_eq!(serde_json::from_str::<Json>(&text).expect("JSON"), document());
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/openapi.json"),
            &text,
        )
        .expect("writes");
    } else {
        assert!(
            text == DOCUMENT,
            "serve/src/api/openapi.json is old: run this test with {WRITE}=1"
        );
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let references: BTreeSet<&str> = text
        .split("\"$ref\":\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn every_path_of_the_table_is_there_and_answers_as_it_says() {
    for route in ROUTES {
        let body = if route.method == "GET" {
            Body::empty()
        } else {
            Body::from("{}")
        };
        let reply = send(request(route.method, &route.example(), body)).await;
        let status = reply.status.as_u16();
        let place = format!("{} {}: {status} {}", route.method, route.path, reply.text());
        assert!(route.statuses.contains(&status) && status != 404, "{place}");
        if status == 200 {
            let body = reply.json();
            assert!(
                route.fields.iter().all(|field| body.get(field).is_some()),
                "{place}"
            );
        }
        assert_eq!(reply.header("content-type"), Some("application/json"), "{place}");
        assert!(reply.header("x-request-id").is_some(), "{place}");
    }
    let served = get("/openapi.json").await;
    assert_eq!(served.text(), DOCUMENT);
}
