//! `--print-config`.

use crate::config::{Config, Key, SecretUrl};

impl Config {
    /// What is in force, as a file that could be read again, each value with where it stands. Passwords are
    /// masked.
    pub fn to_toml(&self) -> String {
        let mut lines = vec![format!("# Configuration of `segue {}`", self.settled.role)];
        let mut keys = self.settled.keys.to_vec();
        keys.sort_unstable();
        for key in keys {
            let Some(value) = self.settled.values.get(&key) else {
                lines.push(format!("# {} is not set", key.name()));
                continue;
            };
            let text = toml::Value::from(shown(key, &value.text));
            lines.push(format!("{} = {text} # {}", key.name(), value.origin));
        }
        lines.join("\n") + "\n"
    }
}

fn shown(key: Key, text: &str) -> String {
    match key {
        Key::DatabaseUrl | Key::AmqpUrl => {
            SecretUrl::parse(text).map_or_else(|_| "***".to_owned(), |url| url.to_string())
        }
        _ => text.to_owned(),
    }
}
