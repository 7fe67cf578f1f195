//! From what a zone should say to records, by the text of a zone file (RFC 1035, section 5).

use domain::zonefile::inplace::{Entry, ScannedRecord, Zonefile};

use super::{InvalidRecord, Zone, ZoneRecord};

/// Times of a zone's SOA: when others look for a change, in seconds, and when they give up.
const TIMES: &str = "120 60 86400 30";
const TTL: u32 = 3600;
const NAMESERVER_TTL: u32 = 300;

/// Refuses a record that can't be in a zone.
pub fn check_record(zone: &str, record: &ZoneRecord) -> Result<(), InvalidRecord> {
    let line = line(record);
    let wrong = |reason: String| InvalidRecord {
        record: line.clone(),
        reason,
    };
    if line.chars().any(char::is_control) {
        return Err(wrong("it has a character that no record has".to_owned()));
    }
    let is_plain =
        |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '*');
    let labels = || record.name.split('.').all(|label| !label.is_empty());
    if record.name != "@" && !(record.name.chars().all(is_plain) && labels()) {
        return Err(wrong(format!("`{}` is no name in a zone", record.name)));
    }
    if !record.kind.chars().all(|char| char.is_ascii_alphanumeric()) {
        return Err(wrong(format!("`{}` is no type of records", record.kind)));
    }
    if record.kind.eq_ignore_ascii_case("SOA") {
        return Err(wrong(
            "a zone has one SOA, which it makes itself".to_owned(),
        ));
    }
    match parse(zone, &line) {
        Ok(records) if records.len() == 1 => Ok(()),
        Ok(_) => Err(wrong("it is not one record".to_owned())),
        Err(reason) => Err(wrong(reason)),
    }
}

impl Zone {
    /// The record that makes it a zone, and all others. What can't be read is left out: it was refused when it was written.
    pub(super) fn parse(&self) -> (Option<ScannedRecord>, Vec<ScannedRecord>) {
        let own = format!("{}.", self.name);
        let first = self
            .nameservers
            .first()
            .map_or(own.clone(), |name| absolute(name));
        let soa = format!(
            "@ {TTL} IN SOA {first} hostmaster.{own} {} {TIMES}\n",
            self.serial
        );
        let mut records = Vec::new();
        for server in &self.nameservers {
            let line = format!("@ {NAMESERVER_TTL} IN NS {}", absolute(server));
            records.extend(parse(&self.name, &line).unwrap_or_default());
        }
        for record in &self.records {
            records.extend(parse(&self.name, &line(record)).unwrap_or_default());
        }
        let soa = parse(&self.name, &soa).unwrap_or_default();
        (soa.into_iter().next(), records)
    }
}

fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn line(record: &ZoneRecord) -> String {
    let ZoneRecord {
        name,
        ttl,
        kind,
        value,
    } = record;
    format!("{name} {ttl} IN {kind} {value}")
}

fn parse(zone: &str, text: &str) -> Result<Vec<ScannedRecord>, String> {
    let text = format!("$ORIGIN {}\n{text}\n", absolute(zone));
    let mut file = Zonefile::load(&mut text.as_bytes()).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    loop {
        match file.next_entry() {
            Ok(Some(Entry::Record(record))) => records.push(record),
            Ok(Some(Entry::Include { .. })) => return Err("it includes a file".to_owned()),
            Ok(None) => return Ok(records),
            // It would begin with a place in a text that nobody has written.
            Err(error) => {
                let text = error.to_string();
                let reason = text
                    .split_once(": ")
                    .map_or(text.as_str(), |(_, reason)| reason);
                return Err(reason.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, kind: &str, value: &str) -> ZoneRecord {
        ZoneRecord {
            name: name.into(),
            ttl: 300,
            kind: kind.into(),
            value: value.into(),
        }
    }

    #[test]
    fn records_are_one_and_whole() {
        for (kind, value) in [
            ("A", "192.0.2.1"),
            ("AAAA", "fd42::1"),
            ("TXT", "\"v=spf1 -all; $\""),
            ("caa", "0 issue \"ca.example.net\""),
            ("MX", "10 mail.example.net."),
            ("CNAME", "other"),
            ("SRV", "0 5 5060 sip.example.net."),
        ] {
            assert_eq!(
                check_record("lab.example", &record("demo", kind, value)),
                Ok(()),
                "{kind}"
            );
        }
        for (name, kind, value) in [
            ("demo", "A", "fd42::1"),
            ("demo", "A", "192.0.2.1\nevil 300 IN A 192.0.2.2"),
            ("demo", "WHAT", "x"),
            ("demo", "A", ""),
            ("$INCLUDE", "A", "/etc/passwd"),
            ("a..b", "A", "192.0.2.1"),
            ("", "A", "192.0.2.1"),
            ("elsewhere.", "A", "192.0.2.1"),
            ("two words", "A", "192.0.2.1"),
            ("demo", "A ; ", "192.0.2.1"),
            ("demo", "MX", "(10 mail"),
            ("@", "SOA", "ns.lab.example. root.lab.example. 1 2 3 4 5"),
        ] {
            assert!(
                check_record("lab.example", &record(name, kind, value)).is_err(),
                "{value}"
            );
        }
    }
}
