use std::collections::HashMap;

use segue_model::WarningReason;
use serde::{Deserialize, Serialize};

use crate::{
    Attribute, Country, Entry, KnownColumns, MapRule, Mapping, MappingError, PropertyType, Sample,
    Target, Warning, error::Names,
};

/// What the user decided about the mapping. The default decides nothing, and is what is left out of the
/// JSON form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MapOptions {
    /// The column that holds the email address.
    pub email: Option<String>,
    /// Explicit rules; they go before what the names of columns suggest.
    pub map: Vec<MapRule>,
    pub properties: Properties,
    /// Where phone numbers without `+` are from. Without it they are left out, not guessed.
    pub default_country: Option<Country>,
}

/// Which of the columns that no rule and no standard attribute claims become custom properties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Properties {
    #[default]
    All,
    None,
    /// Only the columns with these names.
    Only(Vec<String>),
}

/// Decides what each column becomes, from the header, a sample of rows and what the user said.
pub fn plan(
    columns: &[String],
    sample: &Sample,
    options: &MapOptions,
) -> Result<Mapping, MappingError> {
    let mut draft = Draft::new(columns, sample)?;
    draft.add_rules(options)?;
    draft.add_by_name(&options.properties)?;
    draft.finish(options.default_country)
}

struct Draft<'a> {
    columns: &'a [String],
    sample: &'a Sample,
    index: HashMap<&'a str, usize>,
    entries: Vec<(Entry, usize)>,
    unsent: Vec<String>,
    warnings: Vec<Warning>,
}

impl<'a> Draft<'a> {
    fn new(columns: &'a [String], sample: &'a Sample) -> Result<Self, MappingError> {
        MappingError::check_header(columns)?;
        let mut index = HashMap::with_capacity(columns.len());
        for (i, name) in columns.iter().enumerate() {
            if index.insert(name.as_str(), i).is_some() && !name.is_empty() {
                return Err(MappingError::DuplicateColumn { column: name.clone() });
            }
        }
        let (entries, unsent, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { columns, sample, index, entries, unsent, warnings })
    }

    fn find(&self, column: &str) -> Result<usize, MappingError> {
        self.index.get(column).copied().ok_or_else(|| MappingError::UnknownColumn {
            column: column.to_owned(),
            columns: Names::new(self.columns),
        })
    }

    fn add(
        &mut self,
        attribute: Target,
        column: usize,
        kind: Option<PropertyType>,
    ) -> Result<(), MappingError> {
        let name = &self.columns[column];
        if let Some((taken, _)) =
            self.entries.iter().find(|(entry, _)| entry.attribute == attribute)
        {
            return Err(MappingError::TwoColumns {
                target: attribute.to_string(),
                first: taken.column.clone(),
                second: name.clone(),
            });
        }
        let is_property = matches!(attribute, Target::Property(_));
        let entry = Entry {
            attribute,
            column: name.clone(),
            kind: is_property.then(|| kind.unwrap_or_else(|| self.sample.kind(column))),
            from_text: is_property && (kind.is_some() || !self.sample.is_typed()),
        };
        self.entries.push((entry, column));
        Ok(())
    }

    fn add_rules(&mut self, options: &MapOptions) -> Result<(), MappingError> {
        if let Some(column) = &options.email {
            self.add(Target::Attribute(Attribute::Email), self.find(column)?, None)?;
        }
        for rule in &options.map {
            // --email and --map may say the same thing twice.
            let said = |(entry, _): &(Entry, usize)| {
                entry.attribute == rule.target && entry.column == rule.column && rule.kind.is_none()
            };
            if !self.entries.iter().any(said) {
                self.add(rule.target.clone(), self.find(&rule.column)?, rule.kind)?;
            }
        }
        Ok(())
    }

    fn add_by_name(&mut self, properties: &Properties) -> Result<(), MappingError> {
        if let Properties::Only(names) = properties {
            for name in names {
                self.find(name)?;
            }
        }
        let known = KnownColumns::new();
        let ruled: Vec<Target> = self.entries.iter().map(|(e, _)| e.attribute.clone()).collect();
        let claimed: Vec<usize> = self.entries.iter().map(|(_, column)| *column).collect();
        for (column, name) in self.columns.iter().enumerate() {
            if claimed.contains(&column) {
                continue;
            }
            if let Some((reason, detail)) = unsendable(name, column) {
                self.unsent.push(name.clone());
                self.warnings.push(Warning { field: name.clone(), reason, detail });
                continue;
            }
            let attribute = known
                .attribute(name)
                .map(Target::Attribute)
                .filter(|target| !ruled.contains(target));
            let wanted = match properties {
                Properties::All => true,
                Properties::None => false,
                Properties::Only(names) => names.contains(name),
            };
            match attribute {
                Some(target) => self.add(target, column, None)?,
                None if wanted => self.add(Target::Property(name.clone()), column, None)?,
                None => self.unsent.push(name.clone()),
            }
        }
        Ok(())
    }

    fn finish(mut self, default_country: Option<Country>) -> Result<Mapping, MappingError> {
        let email = Target::Attribute(Attribute::Email);
        if !self.entries.iter().any(|(entry, _)| entry.attribute == email) {
            return Err(MappingError::NoEmail(Names::new(self.columns)));
        }
        self.entries.sort_by_key(|(entry, column)| match &entry.attribute {
            Target::Attribute(attribute) => (false, Some(*attribute), 0),
            Target::Property(_) => (true, None, *column),
        });
        Ok(Mapping {
            entries: self.entries.into_iter().map(|(entry, _)| entry).collect(),
            unsent: self.unsent,
            default_country,
            warnings: self.warnings,
        })
    }
}

/// Why a column cannot be a property under its own name, if so.
fn unsendable(name: &str, column: usize) -> Option<(WarningReason, String)> {
    if name.trim().is_empty() {
        let detail = format!("column {} has no name, so it is not sent", column + 1);
        Some((WarningReason::UnknownColumn, detail))
    } else if name.starts_with('$') {
        let detail = "the name begins with $, so the column is not sent".to_owned();
        Some((WarningReason::ReservedName, detail))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use segue_model::{Cell, WarningReason};

    use super::{MapOptions, Properties, plan};
    use crate::{Mapping, MappingError, Sample};

    const EXPORT: [&str; 6] =
        ["customer_id", "E-Mail", "First Name", "PLZ", "loyalty_tier", "orders"];

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn planned(names: &[&str], options: &MapOptions) -> Result<Mapping, MappingError> {
        plan(&columns(names), &Sample::new(names.len(), false), options)
    }

    fn rules(rules: &[&str]) -> MapOptions {
        let map = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        MapOptions { map, ..MapOptions::default() }
    }

    fn lines(mapping: &Mapping) -> Vec<String> {
        mapping.entries().iter().map(|e| format!("{}={}", e.target(), e.column())).collect()
    }

    #[test]
    fn known_columns_become_attributes_and_the_rest_properties() {
        let mapping = planned(&EXPORT, &MapOptions::default()).unwrap();
        assert_eq!(
            lines(&mapping),
            [
                "email=E-Mail",
                "first_name=First Name",
                "location.zip=PLZ",
                "properties.customer_id=customer_id",
                "properties.loyalty_tier=loyalty_tier",
                "properties.orders=orders",
            ]
        );
        assert!(mapping.warnings().is_empty() && mapping.unsent().is_empty());
    }

    #[test]
    fn options_have_a_json_form_that_reads_back() {
        let json = serde_json::json!({
            "email": "mail",
            "map": ["location.city=town", "properties.tier:text=loyalty"],
            "properties": {"only": ["orders"]},
            "default_country": "DE",
        });
        let options: MapOptions = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&options).unwrap(), json);
        let nothing: MapOptions = serde_json::from_str("{}").unwrap();
        assert_eq!(nothing, MapOptions::default());
        let bad = serde_json::from_str::<MapOptions>(r#"{"map": ["town=x"]}"#).unwrap_err();
        assert!(bad.to_string().contains("unknown attribute"), "{bad}");
    }

    #[test]
    fn a_rule_goes_before_the_name_of_a_column() {
        let mapping = planned(&["email", "city", "town"], &rules(&["location.city=town"])).unwrap();
        assert_eq!(lines(&mapping), ["email=email", "location.city=town", "properties.city=city"]);
        let renamed = planned(&["email", "city"], &rules(&["properties.home=city"])).unwrap();
        assert_eq!(lines(&renamed), ["email=email", "properties.home=city"]);
    }

    #[test]
    fn one_column_may_feed_two_targets() {
        let options = rules(&["location.city=town", "properties.town=town"]);
        let mapping = planned(&["email", "town"], &options).unwrap();
        assert_eq!(lines(&mapping), ["email=email", "location.city=town", "properties.town=town"]);
    }

    #[test]
    fn two_columns_for_one_attribute_are_an_error_that_names_both() {
        let error = planned(&["email", "Phone", "mobile"], &MapOptions::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("Phone") && text.contains("mobile") && text.contains("phone_number"));
        let error = planned(&["email", "E-Mail"], &MapOptions::default()).unwrap_err();
        assert!(matches!(error, MappingError::TwoColumns { .. }));
        let error = planned(&["email", "a", "b"], &rules(&["title=a", "title=b"])).unwrap_err();
        assert!(matches!(error, MappingError::TwoColumns { .. }));
        let error = planned(&["email", "a", "b"], &rules(&["properties.b=a"])).unwrap_err();
        assert!(matches!(error, MappingError::TwoColumns { .. }));
    }

    #[test]
    fn the_email_option_decides_between_two_addresses() {
        let options = MapOptions { email: Some("work".into()), ..MapOptions::default() };
        let mapping = planned(&["email", "work"], &options).unwrap();
        assert_eq!(lines(&mapping), ["email=work", "properties.email=email"]);
        let same = MapOptions { email: Some("work".into()), ..rules(&["email=work"]) };
        assert_eq!(planned(&["email", "work"], &same).unwrap(), mapping);
        let other = MapOptions { email: Some("work".into()), ..rules(&["email=email"]) };
        assert!(planned(&["email", "work"], &other).is_err());
    }

    #[test]
    fn a_header_without_an_email_column_is_an_error_that_lists_the_columns() {
        let error = planned(&["id", "name"], &MapOptions::default()).unwrap_err();
        assert!(error.to_string().ends_with("the columns are: id, name"), "{error}");
        let many: Vec<String> = (0..60).map(|i| format!("c{i}")).collect();
        let error = plan(&many, &Sample::new(60, false), &MapOptions::default()).unwrap_err();
        assert!(error.to_string().ends_with("c49 and 10 more"), "{error}");
    }

    #[test]
    fn a_first_row_of_data_is_not_printed_as_column_names() {
        let error = planned(&["17", "ann@example.com", "Ann"], &MapOptions::default()).unwrap_err();
        assert_eq!(error, MappingError::NoHeader);
        assert!(!format!("{error} {error:?}").contains("ann"));
    }

    #[test]
    fn columns_that_a_rule_or_option_names_must_exist() {
        for options in [
            rules(&["title=job"]),
            MapOptions { email: Some("job".into()), ..MapOptions::default() },
            MapOptions {
                properties: Properties::Only(vec!["job".into()]),
                ..MapOptions::default()
            },
        ] {
            let error = planned(&["email", "x"], &options).unwrap_err();
            assert!(matches!(error, MappingError::UnknownColumn { .. }), "{error}");
            assert_eq!(error.to_string(), "there is no column \"job\"; the columns are: email, x");
        }
    }

    #[test]
    fn a_name_that_two_columns_share_is_refused() {
        let error = planned(&["email", "a", "a"], &MapOptions::default()).unwrap_err();
        assert_eq!(error, MappingError::DuplicateColumn { column: "a".into() });
    }

    #[test]
    fn reserved_and_unnamed_columns_are_not_sent_with_one_warning_each() {
        let mapping = planned(&["email", "$consent", "", ""], &MapOptions::default()).unwrap();
        assert_eq!(lines(&mapping), ["email=email"]);
        let reasons: Vec<_> = mapping.warnings().iter().map(|warning| warning.reason).collect();
        let unknown = WarningReason::UnknownColumn;
        assert_eq!(reasons, [WarningReason::ReservedName, unknown, unknown]);
        let mapped = planned(&["email", "$c"], &rules(&["properties.consent=$c"])).unwrap();
        assert_eq!(lines(&mapped), ["email=email", "properties.consent=$c"]);
        assert!(mapped.warnings().is_empty());
    }

    #[test]
    fn properties_may_be_limited_and_the_rest_is_on_record() {
        let none = MapOptions { properties: Properties::None, ..MapOptions::default() };
        let mapping = planned(&EXPORT, &none).unwrap();
        assert_eq!(lines(&mapping), ["email=E-Mail", "first_name=First Name", "location.zip=PLZ"]);
        assert_eq!(mapping.unsent(), ["customer_id", "loyalty_tier", "orders"]);
        let only = Properties::Only(vec!["orders".into()]);
        let mapping = planned(&EXPORT, &MapOptions { properties: only, ..none }).unwrap();
        assert_eq!(lines(&mapping).last().unwrap(), "properties.orders=orders");
        assert_eq!(mapping.unsent(), ["customer_id", "loyalty_tier"]);
    }

    #[test]
    fn types_come_from_the_sample_unless_a_rule_names_one() {
        let names = ["email", "orders", "tier"];
        let mut sample = Sample::new(3, false);
        sample.see(&[Cell::Text("a@example.com"), Cell::Text("3"), Cell::Text("7")][..]);
        let options = rules(&["properties.tier:text=tier"]);
        let mapping = plan(&columns(&names), &sample, &options).unwrap();
        let described: Vec<[String; 3]> = mapping.describe().collect();
        assert_eq!(described[0], ["email", "email", "email address"]);
        assert_eq!(described[1], ["properties.orders", "orders", "number"]);
        assert_eq!(described[2], ["properties.tier", "tier", "text"]);
    }

    #[test]
    fn only_of_a_property_is_its_type_frozen() {
        let mapping = planned(&["email", "city", "n"], &rules(&["properties.n:number=n"])).unwrap();
        let frozen = serde_json::to_value(mapping.entries()).unwrap();
        let expected = serde_json::json!([
            {"attribute": "email", "column": "email"},
            {"attribute": "location.city", "column": "city"},
            {"attribute": "properties.n", "column": "n", "type": "number", "from_text": true},
        ]);
        assert_eq!(frozen, expected);
    }

    #[test]
    fn a_frozen_mapping_reads_back_as_itself() {
        let country = Some("GB".parse().unwrap());
        let options = MapOptions { default_country: country, ..rules(&["properties.n:number=$n"]) };
        let mapping = planned(&["email", "$n", "$m", "city"], &options).unwrap();
        let text = serde_json::to_string(&mapping).unwrap();
        assert_eq!(serde_json::from_str::<Mapping>(&text).unwrap(), mapping, "{text}");
        let broken = text.replace("location.city", "location.town");
        assert!(serde_json::from_str::<Mapping>(&broken).is_err());
    }
}
