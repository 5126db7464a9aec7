//! Names on the command line that completions offer, although others are accepted.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::Error;
use clap::{Arg, Command};
use siskin::device::profile;

/// The name of a device's profile. The built-in ones are offered; users have their own.
#[derive(Debug, Clone)]
pub(crate) struct DeviceName;

impl TypedValueParser for DeviceName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(profile::builtin_names().map(PossibleValue::new)))
    }
}
