//! Kernel tests of the shell: lines as they are typed, against a captured output.

use super::command::{number, seconds};
use super::complete::ShellCompleter;
use super::output::{Align, Output, Table};
use super::pager::Pager;
use super::{Shell, commands};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use klib::line_edit::Completer;
use machine::mm::frame;
use macros::kernel_test;

/// What `line` prints, and whether one of its commands failed.
fn run(line: &str) -> (String, bool) {
    let mut shell = Shell::new(Output::captured());
    shell.run_line(line);
    (shell.out.take(), shell.any_failed())
}

/// That `line` prints exactly `output` and goes as `well` says.
fn expect(line: &str, output: &str, well: bool) -> Result<(), String> {
    match run(line) {
        (printed, failed) if printed == output && failed != well => Ok(()),
        (printed, failed) => Err(format!("{line:?} printed {printed:?}, failed: {failed}")),
    }
}

#[kernel_test]
fn words_and_quotes_reach_the_command() -> Result<(), String> {
    expect("echo one two", "one two\n", true)?;
    expect("echo 'a;  b' \"c d\"; echo e", "a;  b c d\ne\n", true)?;
    expect("  ;; ", "", true)
}

#[kernel_test]
fn help_has_an_example_for_each_command() -> Result<(), String> {
    for command in commands() {
        let (text, failed) = run(&format!("help {}", command.name));
        if failed || !text.contains(&format!("Example: {}", command.name)) {
            return Err(format!("help {}: {text}", command.name));
        }
    }
    Ok(())
}

#[kernel_test]
fn tab_knows_commands_and_what_they_take() -> Result<(), String> {
    let words = |before: &[&str], word: &str| -> Vec<String> {
        let before: Vec<String> = before.iter().map(ToString::to_string).collect();
        ShellCompleter.candidates(&before, word).into_iter().map(|one| one.word).collect()
    };
    assert_eq!(words(&[], "write-f"), ["write-framebuffer"]);
    assert_eq!(words(&["help"], "boot-"), ["boot-info"]);
    assert_eq!(words(&["keymap"], "d"), ["de", "dvorak", "dvp"]);
    assert!(words(&["mount"], "").contains(&"tmpfs".to_string()));
    assert!(words(&["ls"], "/").iter().all(|path| path.starts_with('/')));
    assert_eq!(words(&["cat"], "/no/such/directory/x"), [""; 0]);
    Ok(())
}

#[kernel_test]
fn errors_name_the_argument() -> Result<(), String> {
    expect("nonsense 1", "nonsense: no such command; help lists them\n", false)?;
    expect("sleep", "sleep: seconds: argument is missing; usage: sleep seconds\n", false)?;
    expect("sleep 1 2", "sleep: 2: one argument too many; usage: sleep seconds\n", false)?;
    expect("sleep 1x", "sleep: 1x: not a number of seconds\n", false)?;
    expect("page-table zz", "page-table: zz: address is not a number\n", false)?;
    expect("exit 256", "exit: 256: status is larger than 255\n", false)?;
    expect("exec 0 /bin/hello", "exec: 0: no instance at all\n", false)?;
    expect("help nonsense", "help: nonsense: no such command\n", false)
}

#[kernel_test]
fn a_failure_is_remembered_and_the_line_goes_on() -> Result<(), String> {
    expect("help nonsense; echo on", "help: nonsense: no such command\non\n", false)?;
    expect("echo a; echo 'open", "ksh: unterminated ' at column 14\n", false)
}

#[kernel_test]
fn boot_commands_are_echoed_behind_the_prompt() {
    let mut shell = Shell::new(Output::captured());
    shell.run_echoed("echo a;echo 'b; c'");
    assert_eq!(shell.out.take(), "ksh > echo a\na\nksh > echo 'b; c'\nb; c\n");
}

#[kernel_test]
fn numbers_are_decimal_or_hexadecimal() {
    assert_eq!(number("42", "n", 100), Ok(42));
    assert_eq!(number("0xFf", "n", 255), Ok(255));
    assert_eq!(number("18446744073709551615", "n", u64::MAX), Ok(u64::MAX));
    for wrong in ["", "0x", "-1", "+1", "0x-1", "1 ", "18446744073709551616", "101"] {
        assert!(number(wrong, "n", 100).is_err(), "{wrong:?}");
    }
}

#[kernel_test]
fn seconds_have_decimals() {
    assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
    assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
    assert_eq!(seconds(".000000001"), Ok(Duration::from_nanos(1)));
    for wrong in ["", ".", "-1", "1e3", "1.2.3", "1.0000000001", "99999999999"] {
        assert!(seconds(wrong).is_err(), "{wrong:?}");
    }
}

#[kernel_test]
fn table_columns_line_up() {
    let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right), ("", Align::Left)]);
    table.row(["a".into(), "100".into(), "x".into()]);
    table.row(["longer".into(), "7".into()]);
    let mut out = Output::captured();
    table.print(&mut out);
    assert_eq!(out.take(), "name      n\na       100  x\nlonger    7\n");
}

#[kernel_test]
fn a_page_is_what_the_window_holds() {
    let mut pager = Pager::new(10, 5);
    assert_eq!(pager.fitting(b"one\ntwo\nthree\nfour\n"), b"one\ntwo\nthree\n".len());
    // A line that fills its row goes on in the next with one more character; sequences have no width.
    pager = Pager::new(10, 5);
    assert_eq!(pager.fitting(b"\x1b[31m0123456789\x1b[0m\n\ta\n\nb"), 24);
    pager = Pager::new(10, 5);
    assert_eq!(pager.fitting("äöüäöüäöüäü\nb\nc\n".as_bytes()), 25);
    pager = Pager::new(4, 3);
    assert_eq!(pager.fitting(b"abcdef\n"), 4, "a row ends where the next character would wrap");
}

#[kernel_test]
fn help_knows_every_command() {
    let (list, failed) = run("help");
    assert!(!failed);
    for command in commands() {
        assert!(list.lines().any(|line| line.split(' ').next() == Some(command.name)), "{}", command.name);
        let (explained, failed) = run(&format!("help {}", command.name));
        assert!(!failed && explained.contains(command.help), "{}", command.name);
        assert_eq!(commands().filter(|other| other.name == command.name).count(), 1, "{} twice", command.name);
    }
}

#[kernel_test]
fn frame_kinds_add_up() -> Result<(), String> {
    let (printed, _) = run("mem");
    let row = |line: &str| -> Option<(String, usize)> {
        let mut cells = line.split_whitespace();
        Some((cells.next()?.to_string(), cells.next()?.parse().ok()?))
    };
    let rows = printed.lines().take_while(|line| !line.starts_with("heap:")).filter_map(row);
    let (total, kinds): (alloc::vec::Vec<_>, alloc::vec::Vec<_>) = rows.partition(|(name, _)| name == "total");
    let sum: usize = kinds.iter().map(|(_, count)| count).sum();
    match total.as_slice() {
        [(_, total)] if *total == sum && sum == frame::total() => Ok(()),
        _ => Err(format!("sum {sum}, frames {}, printed:\n{printed}", frame::total())),
    }
}

#[kernel_test]
fn page_table_walk_ends_at_the_physical_address() {
    // The physical map begins at this address, with physical 0.
    let (printed, failed) = run("page-table 0xffff800000001234");
    assert!(!failed && printed.trim_end().ends_with("physical 0x1234"), "{printed}");
    assert!(printed.contains("PML4"), "{printed}");
    let (printed, failed) = run("page-table 0x800000000000");
    assert!(failed && printed.contains("not a canonical address"), "{printed}");
}

#[kernel_test]
fn sleep_takes_its_time() {
    let start = machine::time::now();
    let (_, failed) = run("sleep 0.05");
    assert!(!failed && machine::time::now() - start >= Duration::from_millis(50));
}

#[kernel_test]
fn primes_are_counted() {
    let (printed, failed) = run("prime 1000");
    assert!(!failed && printed.starts_with("168 primes up to 1000 "), "{printed}");
}
