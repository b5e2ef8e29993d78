//! Settings: each a constant beside its reader, read through a closure.
//!
//! Nothing here touches the environment of the process. [`Env`] collects every
//! mistake, so that one start tells them all.

mod address;
pub mod read;
mod secret;
mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use address::{Address, http_url, is_host_name};
pub use secret::{Elsewhere, Secret, Vault};
pub use setting::{Row, Setting};

/// Something wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// Variable.
    pub name: String,
    /// What is wrong, and what is accepted. Never the value of a secret.
    pub what: String,
}

/// Where variables are looked up, and what was wrong with them.
pub struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// What a variable's name is followed by where it is looked up first: `_EU`.
    suffix: String,
    /// Secrets that were fetched, by the name of their variable.
    fetched: BTreeMap<String, Secret>,
    elsewhere: Vec<Elsewhere>,
    /// Of variables that mean the same, those that hold, and those that don't, with the one that does.
    holding: BTreeSet<String>,
    giving_way: BTreeMap<String, String>,
    mistakes: Vec<Mistake>,
}

/// What is found under a variable's name.
struct Found {
    name: String,
    value: Option<String>,
    /// What keeps the value, the variable that says so, and where it is there.
    place: Option<(Vault, String, String)>,
}

impl Found {
    const fn is_given(&self) -> bool {
        self.value.is_some() || self.place.is_some()
    }

    /// The variable that is set: that of the place, if there is one.
    fn variable(self) -> String {
        self.place.map_or(self.name, |(_, variable, _)| variable)
    }
}

impl<'a> Env<'a> {
    /// Reads from `lookup`; an empty variable is one that isn't set.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            suffix: String::new(),
            fetched: BTreeMap::new(),
            elsewhere: Vec::new(),
            holding: BTreeSet::new(),
            giving_way: BTreeMap::new(),
            mistakes: Vec::new(),
        }
    }

    /// With secrets that were fetched from where they are kept.
    #[must_use]
    pub fn with(mut self, fetched: BTreeMap<String, Secret>) -> Self {
        self.fetched = fetched;
        self
    }

    /// Whether a secret was fetched.
    pub fn has(&self, name: &str) -> bool {
        self.fetched.contains_key(name)
    }

    /// Secrets that have to be fetched before everything can be read.
    pub fn elsewhere(&self) -> &[Elsewhere] {
        &self.elsewhere
    }

    /// The value, or the default. `None` when there is neither, a mistake, or it isn't fetched yet.
    pub fn read<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        let Row { default, secret, .. } = setting.row;
        let Found { name, value, place } = self.find(setting.row);
        if let Some((vault, variable, place)) = place {
            self.is_elsewhere(Elsewhere {
                name: name.clone(),
                setting: setting.row.name.to_owned(),
                variable,
                vault,
                place,
            });
        }
        let value = value.as_deref().or(default)?;
        match (setting.parse)(value) {
            Ok(value) => Some(value),
            Err(what) => {
                let shown = if secret { String::new() } else { format!("`{}` ", setting.row.shown(value)) };
                self.mistake(&name, format!("{shown}{what}"));
                None
            }
        }
    }

    /// Whether a variable is set, be it to a value, to a wrong one, or to the place of one.
    pub fn given<T>(&self, setting: &Setting<T>) -> bool {
        self.find(setting.row).is_given()
    }

    /// Whether a variable is set for the name that is read under alone, as `NAME_EU`.
    pub fn is_own<T>(&self, setting: &Setting<T>) -> bool {
        !self.suffix.is_empty() && self.own(setting.row).is_given()
    }

    /// The first that is set of settings which mean the same; under a name, its own before those that are shared.
    pub fn first<T>(&mut self, settings: &[&Setting<T>]) -> Option<T> {
        self.one_holds(settings);
        // All are read, for their mistakes. One that isn't fetched yet holds, too.
        let all = settings.iter().map(|setting| (!self.is_own(setting), !self.given(setting), self.read(setting)));
        all.min_by_key(|(shared, missing, _)| (*shared, *missing))?.2
    }

    /// Takes down which of settings that mean the same holds, and that the others give way to it, as [`first`](Self::first)
    /// has it.
    pub fn one_holds<T>(&mut self, settings: &[&Setting<T>]) {
        let set = settings.iter().filter(|setting| self.given(setting));
        let set = set.map(|setting| (self.is_own(setting), self.find(setting.row).variable()));
        let (own, shared): (Vec<_>, Vec<_>) = set.partition(|(own, _)| *own);
        let mut variables = own.into_iter().chain(shared).map(|(_, variable)| variable);
        let Some(holds) = variables.next() else { return };
        self.giving_way.extend(variables.map(|variable| (variable, holds.clone())));
        self.holding.insert(holds);
    }

    /// Variables that are set and hold nowhere, as others do that mean the same, each with one of those.
    pub fn giving_way(&self) -> BTreeMap<String, String> {
        let nowhere = self.giving_way.iter().filter(|(variable, _)| !self.holding.contains(*variable));
        nowhere.map(|(variable, holds)| (variable.clone(), holds.clone())).collect()
    }

    /// The value of a setting that wins over another, unless it is shared and the other is a name's own.
    pub fn read_over<T, O>(&mut self, setting: &Setting<T>, other: &Setting<O>) -> Option<T> {
        let value = self.read(setting);
        value.filter(|_| !self.gives_way(setting, other))
    }

    /// Whether a setting is shared, and another that stands in for it a name's own.
    pub fn gives_way<T, O>(&self, setting: &Setting<T>, other: &Setting<O>) -> bool {
        self.given(setting) && !self.is_own(setting) && self.is_own(other)
    }

    /// Reads under a name: `NAME_EU` before `NAME`, if the name is `eu`.
    pub fn under<T>(&mut self, name: Option<&str>, read: impl FnOnce(&mut Self) -> T) -> T {
        let suffix = name.map(Self::suffix);
        let before = std::mem::replace(&mut self.suffix, suffix.unwrap_or_default());
        let value = read(self);
        self.suffix = before;
        value
    }

    /// What variables of a name end in: `_EU`.
    pub fn suffix(name: &str) -> String {
        format!("_{}", name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Name of the variable that holds; if none is set, of the one that is looked up first.
    pub fn name<T>(&self, setting: &Setting<T>) -> String {
        self.find(setting.row).name
    }

    /// The variable that holds, and what people may see of its value, or where the value is kept.
    pub fn shown(&self, row: Row) -> Option<(String, String)> {
        let Found { name, value, place } = self.find(row);
        match place {
            Some((Vault::Kms, variable, _)) => Some((variable, "***".to_owned())),
            Some((_, variable, place)) => Some((variable, place)),
            None => value.map(|value| (name, row.shown(&value))),
        }
    }

    /// The variable that holds: with the name it is read under before the one that is shared.
    fn find(&self, row: Row) -> Found {
        let own = self.own(row);
        if own.is_given() || self.suffix.is_empty() {
            return own;
        }
        let shared = self.held(row.name.to_owned(), row.secret);
        if shared.is_given() { shared } else { own }
    }

    /// The variable with the name it is read under.
    fn own(&self, row: Row) -> Found {
        self.held(format!("{}{}", row.name, self.suffix), row.secret)
    }

    /// What one variable holds. The place of a secret wins over its plain value, and is as good as one.
    fn held(&self, name: String, secret: bool) -> Found {
        let place =
            |vault: Vault| vault.variables(&name).find_map(|variable| Some((vault, self.value(&variable)?, variable)));
        match Vault::ALL.into_iter().filter(|_| secret).find_map(place) {
            Some((vault, place, variable)) => {
                let value = self.fetched.get(&name).map(|secret| secret.expose().to_owned());
                Found { name, value, place: Some((vault, variable, place)) }
            }
            None => Found { value: self.value(&name), name, place: None },
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn is_elsewhere(&mut self, elsewhere: Elsewhere) {
        if self.elsewhere.iter().any(|other| other.name == elsewhere.name) {
            return;
        }
        if let Err(what) = elsewhere.vault.check(&elsewhere.place) {
            self.mistake(&elsewhere.variable, what);
        }
        self.elsewhere.push(elsewhere);
    }

    /// The value; a mistake when it isn't set.
    pub fn require<T>(&mut self, setting: &Setting<T>, why: &str) -> Option<T> {
        if !self.given(setting) {
            self.mistake(&self.name(setting), format!("is not set: {why}"));
        }
        self.one_holds(&[setting]);
        self.read(setting)
    }

    /// An address at the port that a setting of its own holds; two ports are a mistake.
    pub fn at_port(
        &mut self,
        address: Option<Address>,
        setting: &Setting<Address>,
        port: &Setting<u16>,
    ) -> Option<Address> {
        let Some(number) = self.read(port) else { return address };
        match address?.at(number) {
            Ok(address) => Some(address),
            Err(other) => {
                let what = format!("is {number}, but {} has port {other}: expected one of them", self.name(setting));
                self.mistake(&self.name(port), what);
                None
            }
        }
    }

    /// Takes down a mistake.
    pub fn mistake(&mut self, name: &str, what: String) {
        self.mistakes.push(Mistake { name: name.to_owned(), what });
    }

    /// Takes down that something can't be set up whatever the settings are.
    pub fn broken<T>(&mut self, what: &str) -> Option<T> {
        self.mistake(what, "cannot be set up: please report this as a bug of logferry".to_owned());
        None
    }

    /// All mistakes so far.
    pub fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}

/// The first value there is: one of a name's own before one that is shared.
pub fn own_first<T>(values: Vec<(bool, Option<T>)>) -> Option<T> {
    values.into_iter().filter(|(_, value)| value.is_some()).min_by_key(|(own, _)| !own)?.1
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Setting<u64> = Setting::new("SIZE", read::bytes, "A size.").default("1KiB");
    const KEY: Setting<Secret> = Setting::new("KEY", read::secret, "A key.").secret();

    fn env(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |asked| (asked == name).then(|| value.to_owned())
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let lookup = env("SIZE", " ");
        assert_eq!(Env::new(&lookup).read(&SIZE), Some(1024));
    }

    #[test]
    fn a_name_has_settings_of_its_own_and_shares_the_others() {
        let lookup = |name: &str| match name {
            "SIZE" => Some("2".to_owned()),
            "SIZE_US_2" => Some("3".to_owned()),
            "SIZE_BAD" => Some("x".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        let mut size = |name: Option<&str>| env.under(name, |env| env.read(&SIZE));
        assert_eq!(
            (size(None), size(Some("eu")), size(Some("us-2")), size(Some("bad"))),
            (Some(2), Some(2), Some(3), None)
        );
        assert_eq!(env.into_mistakes()[0].name, "SIZE_BAD");
    }

    #[test]
    fn of_settings_that_mean_the_same_the_own_one_holds() {
        const LENGTH: Setting<u64> = Setting::new("LENGTH", read::bytes, "The same.");
        let lookup = |name: &str| match name {
            "SIZE" => Some("1".to_owned()),
            "LENGTH" | "SIZE_US" => Some("2".to_owned()),
            "LENGTH_EU" | "LENGTH_US" => Some("3".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        let mut first = |name: Option<&str>| env.under(name, |env| env.first(&[&SIZE, &LENGTH]));
        assert_eq!([None, Some("eu"), Some("us"), Some("asia")].map(&mut first), [Some(1), Some(3), Some(2), Some(1)]);
    }

    #[test]
    fn a_secret_that_is_not_fetched_yet_is_not_another_one() {
        const OTHER: Setting<Secret> = Setting::new("OTHER", read::secret, "The same.").secret();
        let lookup = |name: &str| match name {
            "OTHER_EU_SECRET_ARN" => Some("arn:aws:secretsmanager:eu-west-1:1:secret:x".to_owned()),
            "KEY" => Some("shared".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        let mut first = |name: &str| env.under(Some(name), |env| env.first(&[&KEY, &OTHER]));
        assert_eq!((first("eu"), first("us")), (None, Some(Secret::new("shared".into()))));
        assert_eq!(env.elsewhere()[0].name, "OTHER_EU");
    }

    #[test]
    fn what_holds_nowhere_gives_way_to_what_does() {
        const OTHER: Setting<Secret> = Setting::new("OTHER", read::secret, "The same.").secret();
        let lookup = |name: &str| match name {
            "KEY" | "OTHER_KMS" | "OTHER_EU" => Some("AQICAHh".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        let mut after = |name: Option<&str>| {
            env.under(name, |env| env.first(&[&KEY, &OTHER]));
            env.giving_way().into_iter().map(|(name, holds)| format!("{name} to {holds}")).collect::<Vec<_>>()
        };
        assert_eq!(after(Some("eu")), ["KEY to OTHER_EU"]);
        assert_eq!(after(None), ["OTHER_KMS to KEY"]);
    }

    #[test]
    fn mistakes_name_the_variable_and_what_is_accepted_but_no_secret() {
        let lookup = |name: &str| match name {
            "KEY" => Some("s3cret key".to_owned()),
            "SIZE" => Some("many".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        assert_eq!((env.read(&SIZE), env.read(&KEY)), (None, None));
        let text: Vec<_> = env.into_mistakes().iter().map(ToString::to_string).collect();
        assert_eq!(text[0], "SIZE `many` is not a size: expected bytes, as `1048576`, `512KiB`, `8MiB` or `1GiB`");
        assert!(text[1].starts_with("KEY holds a blank") && !text[1].contains("s3cret"), "{}", text[1]);
    }

    #[test]
    fn a_secret_may_be_elsewhere_until_it_is_fetched() {
        let lookup = |name: &str| match name {
            "KEY" => Some("plain".to_owned()),
            "KEY_SECRET_ARN" => Some("arn:aws:secretsmanager:eu-west-1:1:secret:x".to_owned()),
            "KEY_EU" => Some("plain-eu".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        assert_eq!(
            (env.require(&KEY, "needed"), env.under(Some("eu"), |env| env.read(&KEY))),
            (None, Some(Secret::new("plain-eu".into())))
        );
        let waiting: Vec<_> = env.elsewhere().iter().map(|place| (place.name.as_str(), place.vault)).collect();
        assert_eq!(waiting, [("KEY", Vault::SecretsManager)]);
        let fetched = BTreeMap::from([("KEY".to_owned(), Secret::new("fetched".into()))]);
        let mut again = Env::new(&lookup).with(fetched);
        assert_eq!(again.read(&KEY), Some(Secret::new("fetched".into())));
        assert_eq!((env.into_mistakes(), again.into_mistakes()), (vec![], vec![]));
    }

    #[test]
    fn an_encrypted_key_of_datadog_has_two_names() {
        const API_KEY: Setting<Secret> = Setting::new("DD_API_KEY", read::secret, "").secret();
        for set in ["DD_KMS_API_KEY", "DD_API_KEY_KMS"] {
            let lookup = |name: &str| (name == set).then(|| "AQICAHh".to_owned());
            let mut env = Env::new(&lookup);
            assert_eq!(env.require(&API_KEY, "needed"), None);
            let places: Vec<_> = env.elsewhere().iter().map(|place| (place.variable.as_str(), place.vault)).collect();
            assert_eq!(places, [(set, Vault::Kms)]);
            assert_eq!(env.into_mistakes(), []);
        }
    }

    #[test]
    fn shows_which_variable_holds() {
        let lookup = |name: &str| match name {
            "KEY_SECRET_ARN" => Some("arn:aws:secretsmanager:eu-west-1:1:secret:x".to_owned()),
            "KEY_EU" | "KEY_US_KMS" => Some("s3cret".to_owned()),
            "SIZE_EU" => Some(" 8MiB ".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&lookup);
        for (name, row, expected) in [
            (None, KEY.row(), Some(("KEY_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:x"))),
            (Some("eu"), KEY.row(), Some(("KEY_EU", "***"))),
            (Some("us"), KEY.row(), Some(("KEY_US_KMS", "***"))),
            (Some("asia"), KEY.row(), Some(("KEY_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:x"))),
            (Some("eu"), SIZE.row(), Some(("SIZE_EU", "8MiB"))),
            (None, SIZE.row(), None),
        ] {
            let shown = env.under(name, |env| env.shown(row));
            assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value.to_owned())), "{name:?}");
        }
    }
}
