//! Who wrote.

use logferry::model::{Origin, Timestamp};

use super::day;
use crate::style::{Paint, Style, visible};

/// Something about each of those who wrote, in the order in which they appeared.
#[derive(Debug, Default)]
pub(crate) struct Subjects<T> {
    entries: Vec<(Subject, T)>,
}

/// Who wrote: a function, or a log group of no function.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// Of the function, or of the log group.
    pub(crate) name: String,
    function: bool,
    account: Option<String>,
    region: Option<String>,
    versions: Vec<String>,
    log_groups: Vec<String>,
}

impl<T: Default> Subjects<T> {
    /// What there is about whoever wrote; never none.
    pub(crate) fn of(&mut self, origin: &Origin) -> Option<&mut T> {
        // Batches follow one another by function: the one at hand is at the end.
        let place = self.entries.iter().rposition(|(subject, _)| subject.is(origin)).unwrap_or(self.entries.len());
        if place == self.entries.len() {
            self.entries.push((Subject::new(origin), T::default()));
        }
        let (subject, about) = self.entries.get_mut(place)?;
        subject.learn(origin);
        Some(about)
    }
}

impl<T> Subjects<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Subject, T)> {
        self.entries.iter()
    }

    /// Names that tell the subjects apart: with the region and the account where the name alone doesn't.
    pub(crate) fn labels(&self) -> Vec<String> {
        let alike = |name: &str| self.entries.iter().filter(|(subject, _)| subject.name == name).count() > 1;
        let label = |subject: &Subject| {
            let place = [&subject.region, &subject.account].into_iter().flatten().map(String::as_str);
            let place = if alike(&subject.name) { place.collect() } else { Vec::new() };
            visible(&[&[subject.name.as_str()], place.as_slice()].concat().join(" "))
        };
        self.entries.iter().map(|(subject, _)| label(subject)).collect()
    }
}

impl Subject {
    fn new(origin: &Origin) -> Self {
        let function = origin.function.as_ref().map(|function| function.name.clone());
        Self {
            function: function.is_some(),
            name: function.unwrap_or_else(|| origin.log_group.clone()),
            ..Self::default()
        }
    }

    /// Whether it wrote this: what isn't known of account and region contradicts nothing.
    fn is(&self, origin: &Origin) -> bool {
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        let name = origin.function.as_ref().map_or(&origin.log_group, |function| &function.name);
        self.name == *name
            && self.function == origin.function.is_some()
            && agree(&self.account, &origin.account)
            && agree(&self.region, &origin.region)
    }

    fn learn(&mut self, origin: &Origin) {
        let fill = |known: &mut Option<String>, new: &Option<String>| {
            if known.is_none() {
                known.clone_from(new);
            }
        };
        let add = |known: &mut Vec<String>, new: &String| {
            if !known.contains(new) {
                known.push(new.clone());
            }
        };
        fill(&mut self.account, &origin.account);
        fill(&mut self.region, &origin.region);
        if let Some(version) = origin.function.as_ref().and_then(|function| function.version.as_ref()) {
            add(&mut self.versions, version);
        }
        add(&mut self.log_groups, &origin.log_group);
    }

    /// Its name, and below it where it is and when it wrote.
    pub(super) fn heading(&self, days: Option<(Timestamp, Timestamp)>, style: Style) -> String {
        let name = if self.name.is_empty() { "(no name)".to_owned() } else { visible(&self.name) };
        let mut about = Vec::new();
        if !self.versions.is_empty() {
            let plural = if self.versions.len() == 1 { "" } else { "s" };
            about.push(format!("version{plural} {}", self.versions.join(", ")));
        }
        about.extend(self.account.clone());
        about.extend(self.region.clone());
        about.extend(days.map(|(first, last)| {
            let (first, last) = (day(first), day(last));
            if first == last { format!("{first} UTC") } else { format!("{first} to {last} UTC") }
        }));
        let usual = |group: &String| group.strip_prefix("/aws/lambda/") == Some(&self.name);
        if self.function && !self.log_groups.iter().all(usual) {
            let plural = if self.log_groups.len() == 1 { "" } else { "s" };
            about.push(format!("log group{plural} {}", self.log_groups.join(", ")));
        }
        let about: Vec<_> = about.iter().map(|piece| visible(piece)).collect();
        let about = style.wrap_pieces(about.iter().map(String::as_str), " · ", 0);
        format!("{}\n{}\n", style.paint(Paint::Bold, &name), style.paint_lines(Paint::Dim, &about))
    }
}
