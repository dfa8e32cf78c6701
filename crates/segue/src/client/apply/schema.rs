//! The schema for editors and what is read here say the same.

use std::{cell::Cell, collections::BTreeSet};

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error as _, Visitor, value::Error},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value, json};

use super::{SCHEMA, document, testing};

const SAMPLE: &str = include_str!("../../../../../deploy/demo/segue.yaml");

/// The names of the fields of a type, as serde knows them.
fn fields_of<T: DeserializeOwned>() -> BTreeSet<String> {
    struct Names<'a>(&'a Cell<&'static [&'static str]>);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("no struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            self.0.set(fields);
            Err(Error::custom("only the names were wanted"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let names = Cell::new(&[] as &[&str]);
    assert!(T::deserialize(Names(&names)).is_err());
    names.get().iter().map(|name| (*name).to_owned()).collect()
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

#[test]
fn schema_names_exactly_the_fields_that_are_read() {
    let schema = schema();
    let named = |part: &Value| -> BTreeSet<String> {
        part["properties"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(named(&schema), fields_of::<document::Document>());
    let types = [
        ("connection", fields_of::<document::Connection>()),
        ("apiKey", fields_of::<document::KeyPlace>()),
        ("consent", fields_of::<document::Consent>()),
        ("sharing", fields_of::<document::Sharing>()),
        ("source", fields_of::<document::Source>()),
        ("export", fields_of::<document::Export>()),
        ("mapping", fields_of::<document::Mapping>()),
        ("guards", fields_of::<document::Guards>()),
        ("freshness", fields_of::<document::Freshness>()),
        ("recurrence", fields_of::<document::Recurrence>()),
    ];
    let definitions = schema["definitions"].as_object().unwrap();
    let known: BTreeSet<&str> = types.iter().map(|(name, _)| *name).collect();
    assert_eq!(definitions.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    for (name, fields) in types {
        assert_eq!(named(&definitions[name]), fields, "{name}");
    }
}

#[test]
fn sample_is_as_the_schema_says() {
    let source = super::source::Source {
        name: "segue.yaml".to_owned(),
        folder: "".into(),
        text: SAMPLE.to_owned(),
    };
    let sample: Value = source.parse().unwrap();
    assert_eq!(violations(&schema(), &sample), Vec::<String>::new());
    testing::desired(SAMPLE);
}

/// A file with every field that there is.
fn full() -> Value {
    json!({
        "apiVersion": "segue/v1",
        "systemSchedule": {"at": ["03:00"], "days": ["monday"], "timeZone": "UTC"},
        "connections": [
            {
                "name": "A", "apiKey": {"env": "A"}, "consent": {"version": "1", "acceptedBy": "Ada"},
                "sharing": {"contributors": true, "lists": ["LIST01"]},
            },
            {"name": "B", "apiKey": {"file": "b"}, "consent": {"version": "1", "acceptedBy": "Bo"}},
            {"name": "C", "apiKey": {"serverEnv": "C"}, "consent": {"version": "1", "acceptedBy": "Bo"}},
            {"name": "D", "apiKey": {"serverFile": "d"}, "consent": {"version": "1", "acceptedBy": "Bo"}},
        ],
        "sources": [{"name": "CRM", "folder": "crm/daily"}],
        "exports": [
            {
                "name": "N", "connection": "A", "list": "LIST01", "source": "CRM", "segments": ["a.csv"],
                "mapping": {
                    "email": "mail", "attributes": {"location.city": "town"},
                    "properties": ["tier"], "defaultCountry": "DE",
                },
                "guards": {
                    "allowLiveFlows": true, "allowEmpty": false, "maxProfiles": 5,
                    "maxGrowthPercent": 10, "maxShrinkagePercent": 0, "maxRejectsPercent": 3,
                },
                "freshness": {"maxSourceAge": "26h", "wait": "2h"},
                "schedule": {"cron": "0 6 * * *", "timeZone": "UTC"},
                "disabled": true, "owner": "token:1",
            },
            {
                "name": "M", "connection": "B", "list": "LIST02", "segments": ["b.csv"],
                "mapping": {"properties": "none"}, "schedule": "never", "freshness": "any",
            },
        ],
    })
}

/// Every value that comes of one change: a member less, a member too many, or a value of another kind.
fn changed(value: &Value) -> Vec<Value> {
    let mut all = vec![json!({}), json!([])];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let mut less = members.clone();
                less.remove(name);
                all.push(less.into());
                let with = |member| {
                    let mut other = members.clone();
                    other.insert(name.clone(), member);
                    Value::from(other)
                };
                all.extend(changed(member).into_iter().map(with));
            }
            let mut more = members.clone();
            more.insert("tooMuch".to_owned(), json!("x"));
            all.push(more.into());
        }
        Value::Array(items) => {
            for (nth, item) in items.iter().enumerate() {
                let with = |item| {
                    let mut other = items.clone();
                    other[nth] = item;
                    Value::from(other)
                };
                all.extend(changed(item).into_iter().map(with));
            }
        }
        // Words that are none of those that are allowed, where only some are.
        Value::String(_) => all.push(json!("")),
        _ => {}
    }
    all
}

#[test]
fn schema_allows_what_is_read_and_refuses_what_is_refused() {
    let schema = schema();
    let full = full();
    assert_eq!(violations(&schema, &full), Vec::<String>::new());
    let files = changed(&full);
    assert!(files.len() > 100, "{}", files.len());
    let mut allowed = 0;
    for file in files {
        let violations = violations(&schema, &file);
        let read = testing::read(&[&file.to_string()]);
        allowed += usize::from(read.is_ok());
        // The schema does not know which texts a list, a zone or a duration can be, and does not count names.
        let finer =
            ["list:", "Country:", "timeZone:", "cron:", ".at:", "attributes[", "freshness."];
        match read {
            Ok(_) => assert!(violations.is_empty(), "{violations:?}: {file:#}"),
            Err(words) if finer.iter().any(|field| words.contains(field)) => {}
            Err(words) => assert!(!violations.is_empty(), "{words}: {file:#}"),
        }
    }
    assert!(allowed > 20, "{allowed}");
}

/// What is wrong with a value by the part of JSON Schema that ours uses, each with its place.
fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let part = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return check(root, part, value, at, found);
    }
    let mut wrong = |what: &str| found.push(format!("{at}: {what}"));
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"].as_str().is_some_and(|wanted| wanted != kind) {
        wrong("is of another type");
        return;
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        wrong("is none of the allowed values");
    }
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    let limit = |name: &str| schema[name].as_u64().and_then(|limit| usize::try_from(limit).ok());
    if ["minLength", "minItems", "minProperties"]
        .iter()
        .filter_map(|it| limit(it))
        .any(|it| size < it)
    {
        wrong("has too little");
    }
    if ["maxLength", "maxItems", "maxProperties"]
        .iter()
        .filter_map(|it| limit(it))
        .any(|it| size > it)
    {
        wrong("has too much");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| {
            let mut found = Vec::new();
            check(root, choice, value, at, &mut found);
            found.is_empty()
        };
        if choices.iter().filter(fits).count() != 1 {
            wrong("fits not one of the choices");
        }
    }
    match value {
        Value::Array(items) if schema["items"].is_object() => {
            for (nth, item) in items.iter().enumerate() {
                check(root, &schema["items"], item, &format!("{at}/{nth}"), found);
            }
        }
        Value::Object(given) => members(root, schema, given, at, found),
        _ => {}
    }
}

fn members(
    root: &Value,
    schema: &Value,
    given: &Map<String, Value>,
    at: &str,
    found: &mut Vec<String>,
) {
    let names = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let mut needed = names(&schema["required"]);
    for (name, needs) in schema["dependencies"].as_object().into_iter().flatten() {
        if given.contains_key(name) {
            needed.extend(names(needs));
        }
    }
    for name in needed.iter().filter(|name| !given.contains_key(*name)) {
        found.push(format!("{at}: {name} is missing"));
    }
    for (name, member) in given {
        let at = format!("{at}/{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(part), _) => check(root, part, member, &at, found),
            (None, Value::Bool(false)) => found.push(format!("{at}: is not known")),
            (None, Value::Object(_)) => {
                check(root, &schema["additionalProperties"], member, &at, found);
            }
            (None, _) => {}
        }
    }
}
