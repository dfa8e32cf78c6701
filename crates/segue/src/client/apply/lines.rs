//! Where a file says what is wrong.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::document;

/// On which lines an export says its parts.
pub(super) struct Lines(BTreeMap<&'static str, u64>);

impl Lines {
    pub(super) fn of(export: &document::Export) -> Self {
        fn at<T>(part: &Spanned<T>) -> u64 {
            part.referenced.line()
        }
        let always = [
            ("name", at(&export.name)),
            ("list", at(&export.list)),
            ("segments", at(&export.segments)),
        ];
        let mut lines = BTreeMap::from(always);
        lines.extend(export.mapping.as_ref().map(|part| ("mapping", at(part))));
        lines.extend(export.guards.as_ref().map(|part| ("guards", at(part))));
        lines.extend(export.freshness.as_ref().map(|part| ("freshness", at(part))));
        Self(lines)
    }

    /// The field as the file has it, and its line.
    pub(super) fn of_violation(&self, field: &str) -> (String, u64) {
        let field = field.strip_prefix("export.").unwrap_or(field);
        // Those whose names in the contract are others.
        let renamed = [
            ("display_name", "name"),
            ("list_id", "list"),
            ("mapping.default_country", "mapping.defaultCountry"),
            ("guards.max_profiles", "guards.maxProfiles"),
            ("guards.max_growth_percent", "guards.maxGrowthPercent"),
            ("guards.max_shrinkage_percent", "guards.maxShrinkagePercent"),
            ("guards.max_rejects_percent", "guards.maxRejectsPercent"),
            ("freshness.max_source_age", "freshness.maxSourceAge"),
        ];
        let name = renamed.iter().find(|(from, _)| *from == field).map_or(field, |(_, to)| *to);
        let name = name.replace("properties.columns", "properties");
        let part = name.split(['.', '[']).next().unwrap_or_default();
        let line = self.0.get(part).or_else(|| self.0.get("name")).copied().unwrap_or_default();
        (name, line)
    }
}
