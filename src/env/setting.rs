use super::Address;

/// A variable: its name, what it may hold, and what it is for.
pub struct Setting<T> {
    pub(super) row: Row,
    pub(super) parse: fn(&str) -> Result<T, String>,
}

/// What documents say of a variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// Name.
    pub name: &'static str,
    /// What holds when it isn't set.
    pub default: Option<&'static str>,
    /// What it is for, in a sentence.
    pub doc: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Whether its value is an address, in which there may be a secret.
    pub address: bool,
}

impl<T> Setting<T> {
    /// A variable that may be missing.
    pub const fn new(name: &'static str, parse: fn(&str) -> Result<T, String>, doc: &'static str) -> Self {
        Self { row: Row { name, default: None, doc, secret: false, address: false }, parse }
    }

    /// With a value for when it isn't set.
    #[must_use]
    pub const fn default(mut self, default: &'static str) -> Self {
        self.row.default = Some(default);
        self
    }

    /// Whose value is never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.row.secret = true;
        self
    }

    /// Whose value is an address: what may be a secret in it is never shown.
    #[must_use]
    pub const fn address(mut self) -> Self {
        self.row.address = true;
        self
    }

    /// For documents.
    pub const fn row(&self) -> Row {
        self.row
    }
}

impl Row {
    /// What people may see of its value.
    pub fn shown(&self, value: &str) -> String {
        match self {
            Self { secret: true, .. } => "***".to_owned(),
            Self { address: true, .. } => Address::shown(value),
            _ => value.to_owned(),
        }
    }
}
