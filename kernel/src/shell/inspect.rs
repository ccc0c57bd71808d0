//! Commands that show the machine: how it booted, its memory, tables, interrupts and locks.

use super::Shell;
use super::command::{Command, CommandError, CommandResult, number};
use super::output::{Align, Output, Table};
use crate::sched;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use klib::objects;
use machine::addr::HUGE_PAGE_SIZE;
use machine::boot::info::AreaKind;
use machine::boot::timeline;
use machine::mm::{FrameKind, frame, heap_statistics, huge_pages, space};
use machine::sync::lockdep;
use machine::{PAGE_SIZE, addr, boot, cpu, irq, time};

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "boot-info",
        arguments: "",
        arity: (0, 0),
        help: "print what the boot loader told, and how long booting took",
        details: "Boot loader, command line, memory map, framebuffer, clocks, and the microseconds from the\n\
                  multiboot entry to the end of each stage of the boot.\n\
                  Example: boot-info",
        run: boot_info,
    },
    Command {
        name: "mem",
        arguments: "[objects]",
        arity: (0, 1),
        help: "print what the page frames and the heap are used for",
        details: "The kinds of frames add up to the total. Holes in the physical address space count as Reserved.\n\
                  mem objects: how many tasks, processes, files and so on there are, and were ever made.\n\
                  Example: mem",
        run: mem,
    },
    Command {
        name: "irq",
        arguments: "",
        arity: (0, 0),
        help: "print how often each interrupt came, by CPU",
        details: "Vector, name and a column for each CPU.\n\
                  Example: irq",
        run: irqs,
    },
    Command {
        name: "locks",
        arguments: "",
        arity: (0, 0),
        help: "print the locks that are held at this moment",
        details: "Spinlocks by CPU, outermost first, sleeping locks by task, with rank and the place where each was\n\
                  taken. Debug builds only: release builds do not keep count.\n\
                  Example: locks",
        run: locks,
    },
    Command {
        name: "print-acpi",
        arguments: "",
        arity: (0, 0),
        help: "print the ACPI tables",
        details: "Address, signature, revision, length in bytes and maker of each table that the root table lists.\n\
                  Example: print-acpi",
        run: print_acpi,
    },
    Command {
        name: "page-table",
        arguments: "address",
        arity: (1, 1),
        help: "print the page-table entries that lead to an address",
        details: "From the root down, in the tables of this CPU: P present, W writable, U user, A accessed, D dirty,\n\
                  S large page, G global, X executable. Example: page-table 0xffff800000000000",
        run: page_table,
    },
];

fn boot_info(shell: &mut Shell, _: &[&str]) -> CommandResult {
    let info = boot::info();
    let out = &mut shell.out;
    writeln!(out, "boot loader:  {}", info.loader());
    writeln!(out, "command line: {}", info.raw_command_line());
    for (start, end) in info.modules() {
        writeln!(out, "module:       {start:#x} to {end:#x}");
    }
    match (&info.framebuffer, &info.text_screen) {
        (Some(screen), _) => writeln!(
            out,
            "framebuffer:  {} x {}, {} bits per pixel, {} bytes a line, at {:#x}",
            screen.width, screen.height, screen.bits_per_pixel, screen.pitch, screen.address
        ),
        (None, Some(screen)) => {
            writeln!(
                out,
                "framebuffer:  none; text mode, {} x {}, at {:#x}",
                screen.columns, screen.rows, screen.address
            );
        }
        (None, None) => writeln!(out, "framebuffer:  none"),
    }
    if let Some(rates) = time::rates() {
        let (mhz, khz) = (rates.tsc_khz / 1000, rates.tsc_khz % 1000);
        writeln!(out, "clock:        TSC {mhz}.{khz:03} MHz, measured against {}", rates.reference);
    }
    writeln!(out, "CPUs:         {}\n", cpu::online_count());
    memory_map(out);
    writeln!(out);
    print_timeline(out, timeline::stages());
    Ok(())
}

fn memory_map(out: &mut Output) {
    let mut table =
        Table::new(&[("memory from", Align::Right), ("to", Align::Right), ("KiB", Align::Right), ("", Align::Left)]);
    for area in boot::info().areas() {
        let kind = match area.kind {
            AreaKind::Usable => "usable",
            AreaKind::Firmware => "firmware",
            AreaKind::Reserved => "reserved",
        };
        let size = area.end.saturating_sub(area.start).div_ceil(1024);
        table.row([format!("{:#x}", area.start), format!("{:#x}", area.end), format!("{size}"), kind.into()]);
    }
    table.print(out);
    writeln!(out, "{} KiB usable in all", boot::usable_ram() / 1024);
}

/// Prints the stages of `(name, µs from entry to its end)`, and the time to the prompt.
fn print_timeline<'a>(out: &mut Output, stages: impl Iterator<Item = (&'a str, u64)>) {
    let mut table = Table::new(&[("stage", Align::Left), ("ends at µs", Align::Right), ("took µs", Align::Right)]);
    let (mut before, mut prompt) = (0, None);
    for (stage, end) in stages {
        table.row([stage.into(), format!("{end}"), format!("{}", end.saturating_sub(before))]);
        before = end;
        if stage == super::PROMPT_STAGE {
            prompt = Some(end);
        }
    }
    table.print(out);
    if let Some(end) = prompt {
        writeln!(out, "from multiboot entry to prompt: {}.{:03} ms", end / 1000, end % 1000);
    }
}

fn mem(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    match arguments.first() {
        Some(&"objects") => return objects(shell),
        Some(other) => return Err(CommandError::about(other, "neither objects nor nothing")),
        None => {}
    }
    let kib = |frames: usize| frames * (PAGE_SIZE / 1024);
    let mut table = Table::new(&[("frames used for", Align::Left), ("frames", Align::Right), ("KiB", Align::Right)]);
    let counts = frame_counts();
    for (kind, count) in &counts {
        table.row([format!("{kind:?}"), format!("{count}"), format!("{}", kib(*count))]);
    }
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    table.row(["total".into(), format!("{total}"), format!("{}", kib(total))]);
    table.print(&mut shell.out);
    writeln!(
        shell.out,
        "large pages: {}, {} KiB of the anonymous memory",
        huge_pages(),
        huge_pages() * HUGE_PAGE_SIZE / 1024
    );
    let heap = heap_statistics();
    let used = heap.object_bytes + heap.large_bytes;
    writeln!(
        shell.out,
        "heap: {} KiB in use ({} KiB in small objects, {} KiB in large blocks)",
        used / 1024,
        heap.object_bytes / 1024,
        heap.large_bytes / 1024
    );
    Ok(())
}

fn objects(shell: &mut Shell) -> CommandResult {
    let mut table = Table::new(&[("object", Align::Left), ("alive", Align::Right), ("ever made", Align::Right)]);
    for kind in objects::Kind::ALL {
        let count = objects::count(kind);
        table.row([format!("{kind:?}"), format!("{}", count.live), format!("{}", count.made)]);
    }
    table.print(&mut shell.out);
    Ok(())
}

/// Frames of each kind. Other CPUs go on moving frames from kind to kind while the counters are read one after the
/// other, so the reading is repeated until it adds up.
fn frame_counts() -> Vec<(FrameKind, usize)> {
    let read = || -> Vec<_> { FrameKind::ALL.iter().map(|&kind| (kind, frame::count(kind))).collect() };
    let mut counts = read();
    for _ in 0..100 {
        if counts.iter().map(|(_, count)| count).sum::<usize>() == frame::total() {
            break;
        }
        counts = read();
    }
    counts
}

fn irqs(shell: &mut Shell, _: &[&str]) -> CommandResult {
    let cpus: Vec<String> = cpu::online().map(|cpu| format!("CPU{cpu}")).collect();
    let mut headings = alloc::vec![("vector", Align::Right)];
    headings.extend(cpus.iter().map(|name| (name.as_str(), Align::Right)));
    headings.push(("name", Align::Left));
    let mut table = Table::new(&headings);
    for row in irq::counts() {
        let mut cells = alloc::vec![format!("{:#04x}", row.vector)];
        cells.extend(row.counts.iter().map(|count| format!("{count}")));
        cells.resize(cpus.len() + 1, String::new());
        cells.push(row.name);
        table.row_of(cells);
    }
    table.print(&mut shell.out);
    let (input, output) = (crate::tty::lost_input(), crate::screen::lost());
    writeln!(shell.out, "non-maskable: {}; console bytes lost: {input}; screen bytes lost: {output}", irq::nmi_count());
    Ok(())
}

fn locks(shell: &mut Shell, _: &[&str]) -> CommandResult {
    if !cfg!(debug_assertions) {
        return Err(CommandError::plain("a release build does not keep count of locks"));
    }
    let mut held = Vec::new();
    for cpu in cpu::online() {
        // Printing takes locks, so it comes after the look.
        let told = lockdep::for_each_held_by(cpu, |name, rank, place| held.push((cpu, name, rank, place)));
        if !told {
            writeln!(shell.out, "CPU {cpu}: its locks change too fast to be told");
        }
    }
    let mut table = Table::new(&[
        ("held by", Align::Left),
        ("lock", Align::Left),
        ("rank", Align::Left),
        ("taken at", Align::Left),
    ]);
    for (cpu, name, rank, place) in &held {
        table.row([format!("CPU {cpu}"), (*name).into(), format!("{rank:?}"), format!("{place}")]);
    }
    let mut sleeping = 0;
    sched::for_each_task(|info| {
        let Some(task) = sched::find_task(info.id) else { return };
        lockdep::for_each_held_by_task(&task, |name, place| {
            sleeping += 1;
            table.row([
                format!("task {} {:?}", info.id, info.name),
                name.into(),
                "sleeping".into(),
                format!("{place}"),
            ]);
        });
    });
    if held.is_empty() && sleeping == 0 {
        writeln!(shell.out, "no lock is held");
    } else {
        table.print(&mut shell.out);
    }
    Ok(())
}

fn print_acpi(shell: &mut Shell, _: &[&str]) -> CommandResult {
    let mut table = Table::new(&[
        ("address", Align::Right),
        ("table", Align::Left),
        ("revision", Align::Right),
        ("bytes", Align::Right),
        ("OEM", Align::Left),
        ("OEM table", Align::Left),
    ]);
    for (address, header) in &machine::acpi::platform().tables {
        table.row([
            format!("{address:#x}"),
            firmware_text(&header.signature.0),
            format!("{}", header.revision),
            format!("{}", header.length),
            firmware_text(&header.oem_id),
            firmware_text(&header.oem_table_id),
        ]);
    }
    table.print(&mut shell.out);
    Ok(())
}

/// Text of fixed length as firmware has it, without the padding.
fn firmware_text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0 && byte != b' ').map_or(0, |last| last + 1);
    format!("{}", bytes[..end].escape_ascii())
}

fn page_table(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let address = number(arguments[0], "address", u64::MAX)?;
    if !addr::is_canonical(address) {
        return Err(CommandError::about(arguments[0], "not a canonical address: bits 47 to 63 differ"));
    }
    let mut table = Table::new(&[
        ("table", Align::Left),
        ("index", Align::Right),
        ("entry", Align::Right),
        ("flags", Align::Left),
        ("leads to", Align::Left),
    ]);
    for step in space::walk(address) {
        let name = ["", "PT", "PD", "PDPT", "PML4"].get(step.level as usize).copied().unwrap_or("?");
        let entry = Entry { bits: step.entry, level: step.level };
        table.row([
            name.into(),
            format!("{}", step.index),
            format!("{:#018x}", step.entry),
            entry.flags(),
            entry.target(address),
        ]);
    }
    table.print(&mut shell.out);
    Ok(())
}

/// A page-table entry (SDM volume 3, tables 4-15 to 4-20).
struct Entry {
    bits: u64,
    /// Level of its table: 4 is the root.
    level: u32,
}

impl Entry {
    fn present(&self) -> bool {
        self.bits & 1 != 0
    }

    /// Whether it maps memory rather than the next table.
    fn is_leaf(&self) -> bool {
        self.level == 1 || self.bits & (1 << 7) != 0
    }

    fn flags(&self) -> String {
        if !self.present() {
            return String::new();
        }
        let large = u32::from(self.level > 1);
        let letters = [('P', 0), ('W', 1), ('U', 2), ('A', 5), ('D', 6), ('S', 7), ('G', 8)];
        let mut text: String = letters
            .iter()
            .map(|&(letter, bit)| match self.bits >> bit & 1 {
                1 if letter != 'S' || large == 1 => letter,
                _ => '-',
            })
            .collect();
        text.push(if self.bits >> 63 == 0 { 'X' } else { '-' });
        text
    }

    fn target(&self, address: u64) -> String {
        // Bits 12 to 51; a large page's lowest ones are flags.
        let span = 1u64 << (12 + 9 * (self.level - 1));
        let base = self.bits & 0x000f_ffff_ffff_f000;
        match (self.present(), self.is_leaf()) {
            (false, _) => "nothing: not present".into(),
            (true, false) => format!("table at {base:#x}"),
            (true, true) => format!("physical {:#x}", (base & !(span - 1)) | (address & (span - 1))),
        }
    }
}
