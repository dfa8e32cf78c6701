//! Holds exchanges with Klaviyo to Klaviyo's published OpenAPI file.
//!
//! The file is not ours to ship: the variable `KLAVIYO_OPENAPI` says where it is. Without it the
//! contract is not checked, and a line on stderr says so; with `SEGUE_REQUIRE_OPENAPI=1` that is a
//! failure.

mod endpoints;
mod exchanges;
mod schema;
mod sdk;

use http::Method;
use klaviyo_sim::Exchange;
use serde_json::Value;

use self::schema::{Rules, Schemas};

/// Klaviyo's OpenAPI file.
pub(crate) struct Contract {
    document: Value,
}

/// One operation of the file.
struct Operation<'a> {
    path: &'a str,
    value: &'a Value,
}

impl Contract {
    /// The file that `KLAVIYO_OPENAPI` names, or `None` when it names none.
    pub(crate) fn load() -> Option<Self> {
        let Some(path) = std::env::var_os("KLAVIYO_OPENAPI") else {
            let required = std::env::var("SEGUE_REQUIRE_OPENAPI").is_ok_and(|value| value == "1");
            assert!(!required, "KLAVIYO_OPENAPI has to name Klaviyo's OpenAPI file");
            eprintln!("CONTRACT NOT CHECKED: KLAVIYO_OPENAPI does not name Klaviyo's OpenAPI file");
            return None;
        };
        let text = std::fs::read_to_string(&path).expect("the file of KLAVIYO_OPENAPI is readable");
        let document = serde_json::from_str(&text).expect("the file of KLAVIYO_OPENAPI is JSON");
        Some(Self { document })
    }

    /// Every violation of a request and of its answer, as text without personal data.
    pub(crate) fn check(&self, exchange: &Exchange) -> Vec<String> {
        let mut found = self.check_request(exchange);
        found.extend(self.check_answer(exchange));
        found
    }

    /// The request alone: path, query, headers, body.
    pub(crate) fn check_request(&self, exchange: &Exchange) -> Vec<String> {
        let Some(operation) = self.operation(exchange) else {
            return vec![label(exchange, "request", "the path or its method is not documented")];
        };
        let mut found = self.check_query(&operation, exchange);
        let header = |name: &str| exchange.headers.get(name).and_then(|value| value.to_str().ok());
        let revision = header("revision").map(str::parse::<jiff::civil::Date>);
        if !matches!(revision, Some(Ok(_))) {
            found.push("the header revision is no date".to_owned());
        }
        if !header("authorization").is_some_and(|key| key.starts_with("Klaviyo-API-Key ")) {
            found.push("the header authorization has another scheme".to_owned());
        }
        let schema =
            operation.value.pointer("/requestBody/content/application~1vnd.api+json/schema");
        match schema {
            None if !exchange.body.is_empty() => found.push("there is no body here".to_owned()),
            None => {}
            Some(schema) => match serde_json::from_slice(&exchange.body) {
                Ok(body) => {
                    found.extend(self.schemas().violations(schema, &body, Rules::default()));
                }
                Err(_) => found.push("the body is no JSON".to_owned()),
            },
        }
        found.iter().map(|what| label(exchange, "request", what)).collect()
    }

    fn check_query(&self, operation: &Operation<'_>, exchange: &Exchange) -> Vec<String> {
        let query = exchange.target.split_once('?').map_or("", |(_, query)| query);
        let mut found = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let mut declared = operation.value["parameters"].as_array().into_iter().flatten();
            let parameter = declared.find(|it| it["in"] == "query" && it["name"] == *name);
            let Some(parameter) = parameter else {
                found.push(format!("the parameter {name} is not documented"));
                continue;
            };
            let schema = self.schemas().resolve(&parameter["schema"]).clone();
            let value = match schema["type"].as_str() {
                Some("array") => value.split(',').map(Value::from).collect(),
                Some("integer") => value.parse::<i64>().map_or(Value::Null, Value::from),
                _ => Value::from(&*value),
            };
            let wrong = self.schemas().violations(&schema, &value, Rules::default());
            found.extend(wrong.iter().map(|what| format!("the parameter {name}: {what}")));
        }
        found
    }

    /// The answer alone: status, media type, body. A gateway's HTML is not the API's to document.
    pub(crate) fn check_answer(&self, exchange: &Exchange) -> Vec<String> {
        let status = exchange.status.as_u16();
        let media_type = exchange.response_headers.get("content-type");
        let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if status >= 400 && media_type.starts_with("text/html") {
            return Vec::new();
        }
        let Some(operation) = self.operation(exchange) else { return Vec::new() };
        let responses = &operation.value["responses"];
        let class = format!("{}XX", status / 100);
        let Some(response) = responses.get(status.to_string()).or_else(|| responses.get(&class))
        else {
            return vec![label(exchange, "answer", "the status is not documented")];
        };
        let schemas = self.schemas();
        let content = &schemas.resolve(response)["content"]["application/vnd.api+json"];
        let mut found = Vec::new();
        match content.get("schema") {
            None if !exchange.response_body.is_empty() => {
                found.push("the body should be empty".to_owned());
            }
            None => {}
            Some(_) if media_type != "application/vnd.api+json" => {
                found.push(format!("the media type is {media_type}"));
            }
            Some(schema) => match serde_json::from_slice(&exchange.response_body) {
                Ok(body) => {
                    // Live errors carry `status`, `links` and `meta`, which the file leaves out.
                    let sparse = exchange.target.contains("fields");
                    let rules = Rules { open: status >= 400, sparse };
                    found.extend(schemas.violations(schema, &body, rules));
                }
                Err(_) => found.push("the body is no JSON".to_owned()),
            },
        }
        found.iter().map(|what| label(exchange, "answer", what)).collect()
    }

    fn schemas(&self) -> Schemas<'_> {
        Schemas { document: &self.document }
    }

    fn operation(&self, exchange: &Exchange) -> Option<Operation<'_>> {
        let path = exchange.target.split('?').next().unwrap_or_default();
        self.find(&exchange.method, |template| fits(template, path))
    }

    fn find(&self, method: &Method, wanted: impl Fn(&str) -> bool) -> Option<Operation<'_>> {
        let method = method.as_str().to_ascii_lowercase();
        let mut paths = self.document["paths"].as_object()?.iter();
        let operation =
            |(path, item): (&'_ String, &'_ Value)| wanted(path) && item.get(&method).is_some();
        let (path, item) = paths.find(|entry| operation(*entry))?;
        Some(Operation { path, value: &item[&method] })
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given))
                if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

fn label(exchange: &Exchange, part: &str, what: &str) -> String {
    format!("{exchange:?}, {part}: {what}")
}
