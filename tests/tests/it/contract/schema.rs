//! Checks JSON against a schema of OpenAPI 3.0, by the part of it that Klaviyo's file uses.
//!
//! Stricter than the specification in one point: a member that the schema does not name is a
//! violation where the schema names any. A client that sends a misspelled member would otherwise
//! pass.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// How to check.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// Members may be there that the schema does not name.
    pub(crate) open: bool,
    /// `attributes` may lack members that the schema requires: a sparse fieldset was asked for.
    pub(crate) sparse: bool,
}

/// The document that references point into.
pub(crate) struct Schemas<'a> {
    pub(crate) document: &'a Value,
}

impl<'a> Schemas<'a> {
    /// What is wrong with `value`, each with a pointer into it; never the value itself.
    pub(crate) fn violations(&self, schema: &Value, value: &Value, rules: Rules) -> Vec<String> {
        let mut found = Vec::new();
        Check { schemas: self, rules, found: &mut found }.value(&[schema], value, "");
        found
    }

    /// Follows `$ref` to its end.
    pub(crate) fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value
    where
        'a: 's,
    {
        let mut schema = schema;
        while let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').expect("references stay in the document");
            schema = self.document.pointer(pointer).expect("references lead somewhere");
        }
        schema
    }

    /// The schema and all parts of its `allOf`, which hold for the same value.
    fn flatten<'s>(&'s self, schema: &'s Value, into: &mut Vec<&'s Value>) {
        let schema = self.resolve(schema);
        into.push(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.flatten(part, into);
        }
    }
}

struct Check<'s, 'a> {
    schemas: &'s Schemas<'a>,
    rules: Rules,
    found: &'s mut Vec<String>,
}

impl Check<'_, '_> {
    fn report(&mut self, at: &str, what: &str) {
        self.found.push(format!("{} {what}", if at.is_empty() { "/" } else { at }));
    }

    /// All of `schemas` hold for `value`; together they name the members it may have.
    fn value(&mut self, schemas: &[&Value], value: &Value, at: &str) {
        let all = self.schemas;
        let mut parts = Vec::new();
        for schema in schemas {
            all.flatten(schema, &mut parts);
        }
        if value.is_null() {
            let nullable = |part: &&Value| part["nullable"] == true;
            let says_what = |part: &&Value| part["type"].is_string() || !part["oneOf"].is_null();
            // Beside a reference `nullable` is ignored by the letter, and meant by Klaviyo.
            if parts.iter().chain(schemas).any(says_what)
                && !parts.iter().chain(schemas).any(nullable)
            {
                self.report(at, "must not be null");
            }
            return;
        }
        for part in &parts {
            if !self.one_of(part, value, at) {
                return;
            }
        }
        if let Value::Array(items) = value {
            let item: Vec<&Value> = parts.iter().filter_map(|part| part.get("items")).collect();
            for (index, value) in items.iter().enumerate() {
                self.value(&item, value, &format!("{at}/{index}"));
            }
        }
        if let Value::Object(members) = value {
            self.members(&parts, members, at);
        }
    }

    /// Alternatives, type and range. `false` when the type is wrong: there is no use in going on.
    fn one_of(&mut self, schema: &Value, value: &Value, at: &str) -> bool {
        if let Some(variants) = schema["oneOf"].as_array() {
            let fits = |it: &&Value| self.schemas.violations(it, value, self.rules).is_empty();
            let count = variants.iter().filter(fits).count();
            if count != 1 {
                self.report(at, &format!("fits {count} of the alternatives instead of one"));
            }
        }
        if let Some(kind) = schema["type"].as_str()
            && !has_type(value, kind)
        {
            self.report(at, &format!("is no {kind}"));
            return false;
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            self.report(at, "is none of the allowed values");
        }
        if let Some(text) = value.as_str()
            && !has_format(text, schema["format"].as_str().unwrap_or_default())
        {
            self.report(at, &format!("is no {}", schema["format"]));
        }
        if let Some(number) = value.as_f64() {
            let below = schema["minimum"].as_f64().is_some_and(|minimum| number < minimum);
            let above = schema["maximum"].as_f64().is_some_and(|maximum| number > maximum);
            if below || above {
                self.report(at, "is out of range");
            }
        }
        true
    }

    fn members(&mut self, parts: &[&Value], members: &Map<String, Value>, at: &str) {
        let sparse = self.rules.sparse && at.contains("/attributes");
        let required = parts.iter().filter_map(|part| part["required"].as_array()).flatten();
        for name in required.filter_map(Value::as_str) {
            if !members.contains_key(name) && !sparse {
                self.report(at, &format!("lacks {name}"));
            }
        }
        let named: BTreeSet<&String> = parts
            .iter()
            .filter_map(|part| part["properties"].as_object())
            .flat_map(Map::keys)
            .collect();
        let free = parts.iter().any(|part| part["oneOf"].is_array()) || named.is_empty();
        for (name, value) in members {
            let schemas: Vec<&Value> =
                parts.iter().filter_map(|part| part["properties"].get(name)).collect();
            if !schemas.is_empty() {
                self.value(&schemas, value, &format!("{at}/{name}"));
            } else if !free && !self.rules.open {
                self.report(at, &format!("has the unknown member {name}"));
            }
        }
    }
}

fn has_type(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema has the unknown type {other}"),
    }
}

fn has_format(text: &str, format: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "uri" => url::Url::parse(text).is_ok_and(|url| url.has_host()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Rules, Schemas};

    fn check(schema: &Value, value: &Value, rules: Rules) -> Vec<String> {
        let document = json!({"components": {"schemas": {
            "Kind": {"type": "string", "enum": ["list"]}}}});
        Schemas { document: &document }.violations(schema, value, rules)
    }

    #[test]
    fn each_kind_of_violation_is_found_where_it_is() {
        let schema = json!({"type": "object", "required": ["type", "data"], "properties": {
            "type": {"$ref": "#/components/schemas/Kind"},
            "data": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 3}},
            "at": {"type": "string", "format": "date-time", "nullable": true},
            "url": {"type": "string", "format": "uri"},
            "free": {"type": "object"},
            "one": {"oneOf": [{"type": "string"}, {"type": "number"}]},
        }});
        let good = json!({"type": "list", "data": [1, 3], "at": null, "url": "http://x.example/y",
                          "free": {"anything": 1}, "one": 2.5});
        assert_eq!(check(&schema, &good, Rules::default()), [""; 0]);
        for (member, value, expected) in [
            ("type", json!("segment"), "/type is none of the allowed values"),
            ("type", Value::Null, "/type must not be null"),
            ("data", json!([1, "2"]), "/data/1 is no integer"),
            ("data", json!([0]), "/data/0 is out of range"),
            ("at", json!("yesterday"), "/at is no \"date-time\""),
            ("url", json!("/relative"), "/url is no \"uri\""),
            ("one", json!(true), "/one fits 0 of the alternatives instead of one"),
            ("new", json!(1), "/ has the unknown member new"),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            assert_eq!(check(&schema, &bad, Rules::default()), [expected]);
        }
        let lacking = check(&schema, &json!({"type": "list"}), Rules::default());
        assert_eq!(lacking, ["/ lacks data"]);
    }

    #[test]
    fn parts_of_all_of_name_members_together() {
        let part = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}});
        let schema = json!({"allOf": [part("a"), part("b")]});
        assert_eq!(check(&schema, &json!({"a": "", "b": ""}), Rules::default()), [""; 0]);
        let unknown = check(&schema, &json!({"a": "", "c": ""}), Rules::default());
        assert_eq!(unknown, ["/ has the unknown member c"]);
        let nested = |name: &str| json!({"properties": {"attributes": part(name)}});
        let schema = json!({"allOf": [nested("a"), nested("b")]});
        let deep = json!({"attributes": {"a": "", "b": ""}});
        assert_eq!(check(&schema, &deep, Rules::default()), [""; 0]);
        let schema = json!({"allOf": [part("a"), part("b")]});
        assert_eq!(check(&schema, &json!({"c": 1}), Rules { open: true, sparse: false }), [""; 0]);
    }

    #[test]
    fn sparse_fieldset_excuses_missing_attributes_only() {
        let required = json!({"type": "object", "required": ["x"]});
        let schema = json!({"type": "object", "properties": {"attributes": required},
                            "required": ["id"]});
        let rules = Rules { open: false, sparse: true };
        assert_eq!(check(&schema, &json!({"attributes": {}}), rules), ["/ lacks id"]);
    }
}
