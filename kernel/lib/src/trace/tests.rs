//! Records there and back, files that are damaged, and the timeline of a small made-up trace.

use super::file::{CpuPart, FileError, Trace, bytes, header};
use super::*;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

fn life(pid: u32, name: &str) -> Life {
    Life { pid, name: Label::new(name) }
}

fn record(ns: u64, task: u32, event: Event) -> Record {
    Record { ns, task, event }
}

/// One event of each kind, each field at its largest.
fn all_kinds() -> Vec<Event> {
    let (task, id) = (u32::MAX, u32::MAX);
    vec![
        Event::Switch { to: task, left: Left::Runnable, waits_for: Label::default() },
        Event::Switch { to: task, left: Left::Waiting, waits_for: Label::new("fourteen bytes") },
        Event::Switch { to: 0, left: Left::Dead, waits_for: Label::default() },
        Event::Wake { task },
        Event::Call { number: 0xff_ffff, arguments: [u64::MAX, 1] },
        Event::Return { number: 0xff_ffff, result: u64::MAX },
        Event::Interrupt { vector: 255 },
        Event::InterruptEnd { vector: 255 },
        Event::Fault { address: u64::MAX, access: Access::Read },
        Event::Fault { address: 0, access: Access::Write },
        Event::Fault { address: 0, access: Access::Execute },
        Event::FaultEnd { address: u64::MAX, resolved: true },
        Event::FaultEnd { address: 0, resolved: false },
        Event::Submit { id, transfer: Transfer::Read, sector: u64::MAX, count: COUNT_MAX, disk: Label::new("vdzz") },
        Event::Submit { id: 0, transfer: Transfer::Write, sector: 0, count: 1, disk: Label::new("vda") },
        Event::Submit { id, transfer: Transfer::Flush, sector: 0, count: 0, disk: Label::new("hda") },
        Event::Complete { id, succeeded: true },
        Event::Complete { id: 0, succeeded: false },
        Event::Begin(life((4 << 20) - 1, "sixteen bytes ok")),
        Event::Exec(life(1, "init")),
        Event::End(life(0, "")),
        Event::InterruptName { vector: 255, name: Label::new("local timer") },
    ]
}

#[test]
fn every_event_comes_back() {
    for event in all_kinds() {
        let record = record(u64::MAX, u32::MAX, event);
        assert_eq!(Record::decode(record.encode()), Some(record));
    }
}

#[test]
fn long_names_and_counts_are_cut() {
    assert_eq!(Label::new("0123456789abcdefg").text(), "0123456789abcdef");
    assert_eq!(Label::new("0123456789abcdé").text(), "0123456789abcdé");
    assert_eq!(Label::new("0123456789abcdeé").text(), "0123456789abcde");
    let event = Event::Submit { id: 1, transfer: Transfer::Read, sector: 2, count: u32::MAX, disk: Label::new("vda") };
    let Some(Record { event: Event::Submit { count, .. }, .. }) = Record::decode(record(0, 0, event).encode()) else {
        panic!("not a request any more");
    };
    assert_eq!(count, COUNT_MAX);
}

#[test]
fn lines_of_text() {
    let text = |event| record(1_234_567_890, 7, event).to_string();
    assert_eq!(text(Event::Call { number: 1, arguments: [1, 0x4000] }), "    1.234567890     7 write(0x1, 0x4000)");
    assert_eq!(
        text(Event::Switch { to: 9, left: Left::Waiting, waits_for: Label::new("disk") }),
        "    1.234567890     7 waits for disk; next 9"
    );
    assert_eq!(text(Event::Exec(life(3, "sh"))), "    1.234567890     7 executes sh in process 3");
}

#[test]
fn cpus_are_merged_by_time() {
    let at = |ns| record(ns, 0, Event::Wake { task: 0 });
    let cpus = [vec![at(1), at(4), at(4)], vec![], vec![at(2), at(3), at(4)]];
    let counts: Vec<usize> = cpus.iter().map(Vec::len).collect();
    let mut seen = Vec::new();
    merge(&counts, &|cpu, index| cpus[cpu].get(index).copied(), &mut |cpu, record| {
        seen.push((record.ns, cpu));
        seen.len() < 5
    });
    assert_eq!(seen, [(1, 0), (2, 2), (3, 2), (4, 0), (4, 0)]);
}

/// A file with these records.
fn file(names: &[Record], cpus: &[(u64, Vec<Record>)]) -> Vec<u8> {
    let part = |(cpu, (lost, records)): (usize, &(u64, Vec<Record>))| CpuPart {
        cpu: cpu as u32,
        count: records.len() as u64,
        lost: *lost,
    };
    let parts: Vec<CpuPart> = cpus.iter().enumerate().map(part).collect();
    let records = names.iter().chain(cpus.iter().flat_map(|(_, records)| records)).map(Record::encode);
    header(&parts, names.len(), 9_000).into_iter().chain(records).flat_map(|words| bytes(&words)).collect()
}

/// A shell on CPU 0 starts a program that runs on CPU 1, in whose system call an interrupt comes.
fn small() -> Vec<u8> {
    let names = [
        record(0, 1, Event::Begin(life(0, "idle/0"))),
        record(0, 2, Event::Begin(life(0, "idle/1"))),
        record(0, 3, Event::Begin(life(0, "shell"))),
        record(0, 0, Event::InterruptName { vector: 40, name: Label::new("disk \"a\"") }),
    ];
    let switch = |to, left, reason| Event::Switch { to, left, waits_for: Label::new(reason) };
    let request = Event::Submit { id: 1, transfer: Transfer::Read, sector: 8, count: 2, disk: Label::new("vda") };
    let first = vec![
        record(1_000, 4, Event::Begin(life(2, "program"))),
        record(1_100, 3, switch(1, Left::Waiting, "child")),
        record(6_000, 1, switch(3, Left::Runnable, "")),
    ];
    let second = vec![
        record(1_500, 2, switch(4, Left::Runnable, "")),
        record(2_000, 4, Event::Call { number: 0, arguments: [3, 4] }),
        record(2_100, 4, request),
        record(2_200, 4, switch(2, Left::Waiting, "disk")),
        record(3_000, 2, Event::Interrupt { vector: 40 }),
        record(3_100, 2, Event::Complete { id: 1, succeeded: true }),
        record(3_200, 2, Event::Wake { task: 4 }),
        record(3_300, 2, Event::InterruptEnd { vector: 40 }),
        record(3_400, 2, switch(4, Left::Runnable, "")),
        record(4_000, 4, Event::Return { number: 0, result: 1024 }),
        record(4_500, 4, Event::Return { number: 0, result: 1 }), // of a call that no record tells of
        record(5_000, 4, Event::End(life(2, "program"))),
        record(5_500, 4, switch(2, Left::Dead, "")),
    ];
    file(&names, &[(0, first), (17, second)])
}

/// The events of the timeline, shortened to phase, time, place and name.
fn timeline(json: &str) -> Vec<String> {
    let after = |line: &str, key: &str| {
        line.split_once(key)
            .map(|(_, rest)| rest.split_once(',').unwrap_or((rest, "")).0.trim_matches(['"', '}', '{']).to_string())
    };
    let lines = json.lines().filter(|line| line.starts_with("{\"ph\":") && !line.contains("\"ph\":\"M\""));
    lines
        .map(|line| {
            let get = |key| after(line, key).unwrap_or_default();
            let pid = get("\"pid\":");
            let place = match pid.as_str() {
                "1073741824" => "cpu",
                "1073741825" => "kernel",
                "1073741826" => "disk",
                _ => "process",
            };
            alloc::format!("{} {} {place} {} {}", get("\"ph\":"), get("\"ts\":"), get("\"tid\":"), get("\"name\":"))
        })
        .collect()
}

#[test]
fn the_timeline_of_a_small_trace() {
    let trace = Trace::parse(&small()).unwrap();
    let mut json = String::new();
    chrome::write(&trace, &mut json).unwrap();
    assert!(json.contains("\"lost on CPU 1\":17"), "{json}");
    assert!(json.contains("\"then\":\"waits for disk\""), "{json}");
    let wanted = [
        "i 1.000 process 4 begins",
        "B 1.100 cpu 0 shell",
        "B 1.100 kernel 3 on CPU 0",
        "E 1.100 kernel 3 on CPU 0",
        "E 1.100 cpu 0 shell",
        "B 1.100 cpu 0 idle/0",
        "B 1.100 kernel 1 on CPU 0",
        "B 1.500 cpu 1 idle/1",
        "B 1.500 kernel 2 on CPU 1",
        "E 1.500 kernel 2 on CPU 1",
        "E 1.500 cpu 1 idle/1",
        "B 1.500 cpu 1 program",
        "B 1.500 process 4 on CPU 1",
        "E 2.000 process 4 on CPU 1",
        "B 2.000 process 4 read",
        "B 2.000 process 4 on CPU 1",
        "b 2.100 disk 0 Read vda",
        "E 2.200 process 4 on CPU 1",
        "E 2.200 cpu 1 program",
        "B 2.200 cpu 1 idle/1",
        "B 2.200 kernel 2 on CPU 1",
        "B 3.000 cpu 1 disk \\\"a\\",
        "e 3.100 disk 0 Read vda",
        "i 3.200 process 4 woken by idle/1",
        "E 3.300 cpu 1 disk \\\"a\\",
        "E 3.400 kernel 2 on CPU 1",
        "E 3.400 cpu 1 idle/1",
        "B 3.400 cpu 1 program",
        "B 3.400 process 4 on CPU 1",
        "E 4.000 process 4 on CPU 1",
        "E 4.000 process 4 read",
        "B 4.000 process 4 on CPU 1",
        "i 5.000 process 4 ends",
        "E 5.500 process 4 on CPU 1",
        "E 5.500 cpu 1 program",
        "B 5.500 cpu 1 idle/1",
        "B 5.500 kernel 2 on CPU 1",
        "E 6.000 kernel 1 on CPU 0",
        "E 6.000 cpu 0 idle/0",
        "B 6.000 cpu 0 shell",
        "B 6.000 kernel 3 on CPU 0",
        "E 9.000 kernel 3 on CPU 0",
        "E 9.000 cpu 0 shell",
        "E 9.000 kernel 2 on CPU 1",
        "E 9.000 cpu 1 idle/1",
    ]; // as it is read, a line for each moment and track
    assert_eq!(timeline(&json), wanted);
}

#[test]
fn damaged_files_are_refused() {
    let good = small();
    assert!(Trace::parse(&good).is_ok());
    assert_eq!(Trace::parse(&[]).unwrap_err(), FileError::NotATrace);
    assert_eq!(Trace::parse(&[0; 64]).unwrap_err(), FileError::NotATrace);
    let mut other = good.clone();
    other[8] = 2;
    assert_eq!(Trace::parse(&other).unwrap_err(), FileError::Version(2));
    for len in 32..good.len() {
        assert!(matches!(Trace::parse(&good[..len]), Err(FileError::Length { .. })), "{len} bytes");
    }
    let mut counts = good.clone();
    counts[40..48].fill(0xff);
    assert!(matches!(Trace::parse(&counts), Err(FileError::Length { expected: None, .. })));
    let mut kind = good.clone();
    let at = good.len() - RECORD_LEN + 8;
    kind[at] = 200;
    assert_eq!(Trace::parse(&kind).unwrap_err(), FileError::Record(19));
}

proptest! {
    /// Whatever words there are: a record or none, and what is a record is the same once more.
    #[test]
    fn any_words_decode(words: [u64; 4]) {
        if let Some(record) = Record::decode(words) {
            let again = Record::decode(record.encode());
            prop_assert_eq!(again, Some(record));
        }
    }

    /// Whatever the records say, a timeline comes out in which begins and ends pair up.
    #[test]
    fn any_records_make_a_timeline(words in prop::collection::vec((0u64..16, 0u64..4, 1u8..15, 0u32..3, 0u64..4), 0..80)) {
        let mut records: Vec<Record> = words
            .into_iter()
            .filter_map(|(ns, task, kind, small, a)| {
                Record::decode([ns, u64::from(kind) | u64::from(small) << 8 | task << 32, a, a])
            })
            .collect();
        records.sort_by_key(|record| record.ns);
        let second = records.split_off(records.len() / 2);
        let trace = Trace::parse(&file(&[], &[(0, records), (0, second)])).unwrap();
        let mut json = String::new();
        chrome::write(&trace, &mut json).unwrap();
        let mut open: alloc::collections::BTreeMap<String, Vec<String>> = Default::default();
        for event in timeline(&json) {
            let mut parts = event.splitn(5, ' ');
            let (phase, _, place, tid, name) =
                (parts.next(), parts.next(), parts.next(), parts.next(), parts.next().unwrap_or_default());
            let stack = open.entry(alloc::format!("{place:?} {tid:?}")).or_default();
            match phase {
                Some("B") => stack.push(name.into()),
                Some("E") => prop_assert!(stack.pop().is_some_and(|open| open == name), "{}", json),
                _ => {}
            }
        }
        prop_assert!(open.values().all(Vec::is_empty));
    }
}
