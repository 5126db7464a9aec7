//! The time that templates see, in the user's time zone.
//!
//! The zone is found as tzset(3) does: `$TZ` names a file, a zone or a POSIX rule; without it, `/etc/localtime` is the
//! zone. Its files are inputs like any other, so they are looked at before they are opened, and have a limit.

use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use siskin_model::files;

/// The largest file of a time zone that is read, in bytes; real ones have a few thousand.
const MAX_ZONE: u64 = 1 << 20;

/// Where systems keep the files of time zones.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];

/// The time now, in the user's time zone; in UTC if that is unknown.
pub fn now() -> ZonedDateTime {
    let text = |name: &str| std::env::var(name).ok();
    let own = text("TZDIR");
    let folders: Vec<&Path> = own
        .iter()
        .map(String::as_str)
        .chain(FOLDERS)
        .map(Path::new)
        .collect();
    let zone = zone(text("TZ").as_deref(), &folders, Path::new("/etc/localtime"));
    Timestamp::now().to_zoned_datetime(zone.unwrap_or(TimeZone::UTC))
}

/// The zone that `tz` names, by the files in `folders`; without a name, that of the file `local`.
fn zone(tz: Option<&str>, folders: &[&Path], local: &Path) -> Option<TimeZone> {
    let Some(name) = tz.map(|name| name.strip_prefix(':').unwrap_or(name)) else {
        return from_file(local);
    };
    if Path::new(name).is_absolute() {
        return from_file(Path::new(name));
    }
    let outside = name.is_empty() || name.split('/').any(|part| part == "..");
    let mut paths = folders
        .iter()
        .filter(|_| !outside)
        .map(|folder| folder.join(name));
    paths
        .find_map(|path| from_file(&path))
        .or_else(|| TimeZone::posix(name).ok())
}

fn from_file(path: &Path) -> Option<TimeZone> {
    let bytes = files::read(path, MAX_ZONE).ok()?;
    TimeZone::tzif("", &bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_and_nothing_endless_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        // The smallest file of version 1: one type, UTC+1, called ONE.
        let mut tzif = b"TZif\0".to_vec();
        tzif.extend([0; 15]);
        for count in [0u32, 0, 0, 0, 1, 4] {
            tzif.extend(count.to_be_bytes());
        }
        tzif.extend(3600i32.to_be_bytes());
        tzif.extend([0, 0]);
        tzif.extend(b"ONE\0");
        std::fs::create_dir(at("zones")).expect("made");
        std::fs::write(at("zones/Here"), &tzif).expect("written");
        std::fs::write(at("zones/Damaged"), "TZif").expect("written");
        std::os::unix::fs::symlink("/dev/zero", at("endless")).expect("linked");
        std::os::unix::fs::symlink(at("endless"), at("zones/Endless")).expect("linked");
        let zones = at("zones");
        let offset = |tz: Option<&str>, local: &Path| {
            let zone = zone(tz, &[&zones], local)?;
            Some(zone.to_offset(Timestamp::UNIX_EPOCH).seconds())
        };
        let here = at("zones/Here");
        let none = at("none");
        let path = here.to_str().expect("UTF-8").to_owned();
        let cases = [
            (None, &here, Some(3600)),
            (None, &none, None),
            (None, &at("endless"), None),
            (Some("Here"), &none, Some(3600)),
            (Some(":Here"), &none, Some(3600)),
            (Some(&*path), &none, Some(3600)),
            (Some("CET-2"), &here, Some(7200)),
            (Some(""), &here, None),
            (Some("../zones/Here"), &here, None),
            (Some("Damaged"), &here, None),
            (Some("Endless"), &here, None),
            (Some("/dev/zero"), &here, None),
        ];
        for (tz, local, want) in cases {
            assert_eq!(offset(tz, local), want, "{tz:?} {local:?}");
        }
    }
}
