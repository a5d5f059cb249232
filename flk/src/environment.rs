//! Keys of an agent: out of the environment (`NAME`, or the file that `NAME_FILE` names) or a file
//! that the command line names. Never from the command line itself, where every user of the machine
//! sees them.

use std::{env, fs, path::Path};

use flk_service::settings;
use zeroize::Zeroizing;

use crate::Failure;

/// The value of a setting; `None` where it is not set, or empty.
pub(crate) fn setting(name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    Ok(settings::from_env(name, &|name| env::var_os(name))?.map(|(value, _)| value))
}

/// The key that a file holds, without one final line end.
pub(crate) fn key_of_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let shown = path.display();
    let mut value = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Failure::mistake(format!("the key file {shown} can not be read: {error}")))?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() {
        return Err(Failure::mistake(format!("the key file {shown} is empty; write the key into it")));
    }
    Ok(value)
}
