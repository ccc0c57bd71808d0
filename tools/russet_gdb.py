"""Commands for gdb at a Russet kernel: ktasks, klocks, kpt, kregs. Loaded by tools/russet.gdb.

The kernel tells by the symbol `debugger_layout` (machine::debugger) where things are; the debug information has lines, no
types. All memory is read through QEMU; nothing is written."""

import re
import struct

import gdb

LAYOUT_VERSION = 1
STACK_DEPTH = 40
# sync::held::List and its slots: version and count, then lock, class, name, length of name, rank, place, time.
HELD_HEADER, HELD_SLOT, HELD_DEPTH = 16, 56, 16
PAGE_FLAGS = ((0, "P"), (1, "W"), (2, "U"), (3, "write-through"), (4, "uncached"), (5, "A"), (6, "D"), (7, "large"), (8, "G"), (63, "NX"))
CR0 = {0: "PE", 1: "MP", 2: "EM", 3: "TS", 5: "NE", 16: "WP", 31: "PG"}
CR4 = {5: "PAE", 6: "MCE", 7: "PGE", 9: "OSFXSR", 10: "OSXMMEXCPT", 11: "UMIP", 16: "FSGSBASE", 17: "PCIDE", 18: "OSXSAVE", 20: "SMEP", 21: "SMAP"}
EFER = {0: "SCE", 8: "LME", 10: "LMA", 11: "NXE"}
FLAGS = {0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF", 14: "NT", 18: "AC"}


def memory(address: int, length: int) -> bytes:
    """Bytes of the machine's memory, as the CPU of the selected thread sees it."""
    return bytes(gdb.selected_inferior().read_memory(address & (1 << 64) - 1, length))


def word(address: int) -> int:
    """A 64-bit number in memory."""
    return struct.unpack("<Q", memory(address, 8))[0]


def register(name: str) -> int:
    """A register of the selected thread."""
    value = gdb.selected_frame().read_register(name)
    # Flag registers have a type that does not turn into a number.
    return int(value.format_string(format="x", symbols=False).split()[0], 16)


class Layout:
    """`machine::debugger::Layout`."""

    def __init__(self) -> None:
        try:
            told = gdb.execute("info address debugger_layout", to_string=True)
            at = int(re.search(r"0x[0-9a-f]+", told).group(0), 16)
            words = struct.unpack("<13Q", memory(at, 13 * 8))
        except gdb.error as error:
            raise gdb.GdbError(f"the kernel's memory cannot be read yet ({error})") from error
        if words[0] != LAYOUT_VERSION:
            raise gdb.GdbError(f"the kernel's layout is version {words[0]}, this script knows {LAYOUT_VERSION}; or it does not run yet")
        self.first_task = words[1]
        self.next, self.id, self.name, self.saved_rsp, self.on_cpu, self.held_of_task = words[2:8]
        self.cpu_offsets, self.cpus, self.current, self.held, self.physical_base = words[8:13]

    def percpu(self) -> dict[int, int]:
        """CPU number to the distance of its variables."""
        offsets = struct.unpack(f"<{self.cpus}Q", memory(self.cpu_offsets, 8 * self.cpus))
        return {cpu: offset for cpu, offset in enumerate(offsets) if offset}

    def running(self) -> dict[int, int]:
        """Address of a task to the CPU that runs it."""
        return {word((self.current + offset) & (1 << 64) - 1): cpu for cpu, offset in self.percpu().items()}

    def tasks(self):
        """Addresses of all tasks, the oldest first."""
        found, at = [], word(self.first_task)
        while at and len(found) < 100_000:
            found.append(at)
            at = word(at + self.next)
        return reversed(found)


def text(pointer: int, length: int) -> str:
    """Text in memory."""
    return memory(pointer, min(length, 200)).decode("utf-8", "replace") if length else ""


def threads_by_cpu(layout: Layout) -> dict[int, gdb.InferiorThread]:
    """CPU number to gdb's thread: QEMU's n-th thread is its n-th CPU, which the kernel may have numbered otherwise."""
    selected, found = gdb.selected_thread(), {}
    by_offset = {offset: cpu for cpu, offset in layout.percpu().items()}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        # In user mode the kernel's base waits in the other register.
        for name in ("gs_base", "k_gs_base"):
            cpu = by_offset.get(register(name))
            if cpu is not None:
                found[cpu] = thread
    selected.switch()
    return found


def symbol_at(address: int) -> str:
    """Function and distance, without the hashes that tell crates of one name apart; empty for none."""
    told = gdb.execute(f"info symbol {address:#x}", to_string=True).split(" in section ")[0].strip()
    return "" if told.startswith("No symbol") else re.sub(r"\[[0-9a-f]{8,16}\]", "", told)


def show_line(pc: int, at: int) -> None:
    """A line of a trace: `at` is the address to be looked up."""
    place = gdb.find_pc_line(at)
    where = f" at {place.symtab.filename.split('/library/')[-1]}:{place.line}" if place.symtab else ""
    print(f"    {pc:016x} {symbol_at(at) or '?'}{where}")


def show_trace(rip: int, rbp: int, rsp: int | None = None) -> None:
    """The frames from `rip` on, by the chain of frame pointers."""
    show_line(rip, rip)
    if rsp is not None and symbol_at(rip) and not re.search(r" \+ \d+$", symbol_at(rip)):
        # At a function's first instruction, which has not made its frame yet.
        show_line(word(rsp), word(rsp) - 1)
    for _ in range(STACK_DEPTH):
        try:
            following, back = struct.unpack("<2Q", memory(rbp, 16))
        except gdb.MemoryError:
            return
        if back >> 47 != (1 << 17) - 1:
            return
        show_line(back, back - 1)
        rbp = following


class Command(gdb.Command):
    """A command whose help is its class's text."""

    def __init__(self, name: str) -> None:
        super().__init__(name, gdb.COMMAND_STATUS)


class Ktasks(Command):
    """All tasks with their stack traces: ktasks"""

    def invoke(self, argument: str, from_tty: bool) -> None:
        layout = Layout()
        running, threads = layout.running(), threads_by_cpu(layout)
        selected = gdb.selected_thread()
        for task in layout.tasks():
            name = text(*struct.unpack("<2Q", memory(task + layout.name, 16)))
            cpu = running.get(task)
            print(f"task {word(task + layout.id)} {name!r}" + (f" runs on CPU {cpu}" if cpu is not None else ""))
            if cpu is None:
                # What context_switch pushed: r15 r14 r13 r12 rbx rbp, and the return address.
                saved = word(task + layout.saved_rsp)
                show_trace(word(saved + 48), word(saved + 40))
            elif cpu in threads:
                threads[cpu].switch()
                if register("cs") & 3:
                    print(f"    {register('rip'):016x} (user mode)")
                else:
                    show_trace(register("rip"), register("rbp"), register("rsp"))
        selected.switch()


class Klocks(Command):
    """The locks that are held: spinlocks by CPU, sleeping locks by task: klocks. Debug builds note them, release builds do not."""

    def invoke(self, argument: str, from_tty: bool) -> None:
        layout = Layout()
        if not layout.held:
            raise gdb.GdbError("a release build does not note who holds which lock")
        shown = 0
        for cpu, offset in layout.percpu().items():
            shown += self.show(f"CPU {cpu}", (layout.held + offset) & (1 << 64) - 1)
        for task in layout.tasks():
            name = text(*struct.unpack("<2Q", memory(task + layout.name, 16)))
            shown += self.show(f"task {word(task + layout.id)} {name!r}", task + layout.held_of_task)
        if not shown:
            print("no lock is held")

    @staticmethod
    def show(owner: str, held: int) -> int:
        """The locks of one list; how many."""
        count = min(word(held + 8), HELD_DEPTH)
        for index in range(count):
            slot = struct.unpack("<7Q", memory(held + HELD_HEADER + index * HELD_SLOT, HELD_SLOT))
            # core::panic::Location: the file's name, line and column.
            file, length, line, column = struct.unpack("<2Q2I", memory(slot[5], 24))
            print(f"{owner} holds {text(slot[2], slot[3])!r} at {slot[0]:#x}, taken at {text(file, length)}:{line}:{column}")
        return count


class Kpt(Command):
    """The page-table entries that lead to an address, in the tables in use: kpt ADDRESS"""

    def invoke(self, argument: str, from_tty: bool) -> None:
        if not argument:
            raise gdb.GdbError("kpt ADDRESS")
        address = int(gdb.parse_and_eval(argument)) & (1 << 64) - 1
        if not register("cr0") >> 31 & 1:
            raise gdb.GdbError("paging is off")
        physical_base = Layout().physical_base
        table = register("cr3") & 0x000F_FFFF_FFFF_F000
        for level, name in ((4, "PML4"), (3, "PDPT"), (2, "PD"), (1, "PT")):
            shift = 12 + 9 * (level - 1)
            index = address >> shift & 511
            entry = word(physical_base + table + 8 * index)
            flags = " ".join(letters for bit, letters in PAGE_FLAGS if entry >> bit & 1 and (bit != 7 or level > 1))
            print(f"{name:4} at {table:#x} [{index:3}] = {entry:#018x} {flags}")
            if not entry & 1:
                return print("not mapped")
            table = entry & 0x000F_FFFF_FFFF_F000
            if level == 1 or entry >> 7 & 1:
                span = 1 << shift
                return print(f"physical {(table & ~(span - 1)) | (address & (span - 1)):#x}")


class Kregs(Command):
    """The registers of the selected CPU, with control registers and flags in words: kregs"""

    def invoke(self, argument: str, from_tty: bool) -> None:
        names = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split()
        for start in range(0, len(names), 4):
            print("  ".join(f"{name:3} {register(name):016x}" for name in names[start : start + 4]))
        print(f"rip {register('rip'):016x}  cs {register('cs'):02x}, {'user' if register('cs') & 3 else 'kernel'} mode")
        for name, meaning in (("eflags", FLAGS), ("cr0", CR0), ("cr4", CR4), ("efer", EFER)):
            value = register(name)
            print(f"{name} {value:#x}: {' '.join(word for bit, word in meaning.items() if value >> bit & 1)}")
        print(f"cr2 {register('cr2'):#x}  cr3 {register('cr3'):#x}  gs_base {register('gs_base'):#x}  k_gs_base {register('k_gs_base'):#x}")


class UserSymbols(Command):
    """Loads the symbols of a statically linked program: user-symbols build/user/root/bin/primes"""

    def __init__(self, name: str) -> None:
        gdb.Command.__init__(self, name, gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def invoke(self, argument: str, from_tty: bool) -> None:
        if not argument:
            raise gdb.GdbError("user-symbols PATH")
        gdb.execute(f"add-symbol-file {argument}")


Ktasks("ktasks")
Klocks("klocks")
Kpt("kpt")
Kregs("kregs")
UserSymbols("user-symbols")
