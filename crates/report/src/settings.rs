//! `config.toml` as names and values.

use toml::{Table, Value};

/// A run's settings, `optim.base_lr` and its like, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(Vec<(String, Value)>);

impl Settings {
    /// # Errors
    /// What the parser says.
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let mut settings = Self::default();
        settings.add("", text.parse::<Table>()?);
        Ok(settings)
    }

    fn add(&mut self, prefix: &str, table: Table) {
        for (key, value) in table {
            let name = format!("{prefix}{key}");
            match value {
                Value::Table(table) => self.add(&format!("{name}."), table),
                value => self.0.push((name, value)),
            }
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A number, whole or not.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// All names and values.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.to_string()))
    }

    /// A value as TOML writes it.
    pub(crate) fn written(&self, name: &str) -> Option<String> {
        self.get(name).map(Value::to_string)
    }
}
