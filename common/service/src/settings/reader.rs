//! Asks for settings one by one, and notes each answer for the table.

use core::fmt::Display;

use super::{
    Role, SettingsError,
    definitions::{self, Definition, Kind},
    secret::MASK,
    source::{Found, Given, Source, without_password},
    table::Row,
};

pub(super) struct Reader<'a> {
    given: Given<'a>,
    rows: Vec<Row>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(given: Given<'a>) -> Self {
        Self { given, rows: Vec::new() }
    }

    /// A setting that may have no value.
    pub(super) fn optional(&mut self, setting: &'static Definition) -> Result<Option<Found>, SettingsError> {
        let found = self.given.find(setting)?;
        let value = match (&found, setting.kind) {
            (Some(_), Kind::Secret) => MASK.to_owned(),
            (Some(found), Kind::Open(_)) => without_password(&found.value).into_owned(),
            (None, _) => setting.fallback_text().to_owned(),
        };
        self.rows.retain(|row| row.name != setting.name);
        self.rows.push(Row {
            group: setting.group.heading(),
            name: setting.name,
            flag: setting.flag().map(|flag| format!("--{flag}")),
            value,
            source: found.as_ref().map_or(Source::Default, |found| found.source),
            help: setting.what,
        });
        Ok(found)
    }

    /// A setting that may have no value, where the role has it at all.
    pub(super) fn of(&mut self, role: Role, setting: &'static Definition) -> Result<Option<Found>, SettingsError> {
        if role.has(setting) { self.optional(setting) } else { Ok(None) }
    }

    /// Where the value of a setting that was asked for came from.
    pub(super) fn source_of(&self, setting: &Definition) -> Option<Source> {
        self.rows.iter().find(|row| row.name == setting.name).map(|row| row.source)
    }

    /// A setting that has a default value.
    pub(super) fn found(&mut self, setting: &'static Definition) -> Result<Found, SettingsError> {
        let unset = || SettingsError::new(setting.name, format!("{} is not set; give it a value", setting.name));
        self.optional(setting)?.ok_or_else(unset)
    }

    /// The same, as something usable.
    pub(super) fn get<T, E: Display>(
        &mut self,
        setting: &'static Definition,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SettingsError> {
        self.found(setting)?.parse(parse)
    }

    /// Says what came of a setting that depends on others.
    pub(super) fn came_to(&mut self, setting: &Definition, value: impl Display) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.name == setting.name) {
            row.value = value.to_string();
        }
    }

    /// The answers so far, in the order of the help.
    pub(super) fn into_rows(mut self) -> Vec<Row> {
        self.rows.sort_by_key(|row| definitions::ALL.iter().position(|setting| setting.name == row.name));
        self.rows
    }
}
