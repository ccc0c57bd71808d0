//! Whose controlling terminal it is: sessions, the group in the foreground, hang-ups (`credentials(7)`, `setsid(2)`).

use super::Terminal;
use super::line::Line;
use super::state::{Effects, Session};
use crate::process::{self, Process, send, table};
use abi::Errno;
use abi::Signal;
use abi::capability::CAP_SYS_ADMIN;
use abi::termios::Termios;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use klib::ldisc::LineDiscipline;

impl Terminal {
    /// Gives the console to the session that process `leader` leads, with usual settings; None gives it to the shell.
    /// What was typed and not read goes to the new owner.
    pub fn set_owner(&self, leader: Option<u32>) {
        let mut effects = Effects::default();
        {
            let mut state = self.state.lock();
            let mut typed = match (state.session.take(), &mut state.shell) {
                (None, Some(shell)) => Vec::from(core::mem::take(&mut shell.keys)),
                _ => {
                    let fresh = LineDiscipline::new(Termios::CONSOLE);
                    core::mem::replace(&mut state.discipline, fresh).into_typed()
                }
            };
            typed.extend(core::mem::take(&mut state.incoming));
            state.session = leader.map(|id| Session { id, group: id, lost: false });
            let _ = state.accept(&typed, &mut effects);
        }
        self.set_port();
        self.settle(effects);
    }

    /// The session is over: if it has the terminal, those in the foreground are hung up. The console is the shell's again,
    /// another terminal nobody's, and unless it is a pseudo-terminal its files are dead.
    pub fn end_session(&self, session: u32) {
        let hangs_up;
        let group = {
            let mut state = self.state.lock();
            let Some(own) = state.session.as_ref().filter(|own| own.id == session) else { return };
            let group = own.group;
            if state.shell.is_none() {
                state.session = None;
            }
            hangs_up = state.shell.is_none() && state.pair.is_none();
            group
        };
        send::kill_group(group, Signal::SIGHUP);
        send::kill_group(group, Signal::SIGCONT);
        if self.state.lock().shell.is_some() {
            self.set_owner(None);
        }
        if hangs_up {
            self.end_files();
        }
    }

    /// The line is gone: the session's leader is told, and files are dead.
    pub fn hang_up(&self) {
        let leader = self.state.lock().session.as_mut().map(|session| {
            session.lost = true;
            session.id
        });
        self.end_files();
        for signal in [Signal::SIGHUP, Signal::SIGCONT] {
            // It may have ended since.
            let _ = leader.map_or(Ok(()), |leader| send::kill_from_kernel(leader, signal));
        }
    }

    fn end_files(&self) {
        self.hangups.fetch_add(1, Ordering::SeqCst);
        {
            let mut state = self.state.lock();
            state.flush_input();
            state.exclusive = false;
        }
        if let Some(line) = self.line.and_then(Line::serial) {
            line.rouse();
        }
        self.settle(Effects { changed: true, ..Effects::default() });
    }

    /// The session whose controlling terminal this is.
    pub fn session(&self) -> Option<u32> {
        self.state.lock().controlled().map(|session| session.id)
    }

    /// TIOCSCTTY: the terminal becomes that of the session that `leader` leads and that has none; `steal` takes it from
    /// another one.
    pub fn acquire(&self, leader: &Process, steal: bool) -> Result<(), Errno> {
        let is_leader = leader.session() == leader.pid();
        let current = self.session();
        if is_leader && current == Some(leader.session()) {
            return Ok(());
        }
        let stolen = current.is_some() && !(steal && leader.credentials().has(CAP_SYS_ADMIN));
        if !is_leader || super::controlling(leader.session()).is_some() || stolen {
            return Err(Errno::EPERM);
        }
        let mut state = self.state.lock();
        if !state.is_shells() {
            state.session = Some(Session { id: leader.session(), group: leader.group(), lost: false });
            return Ok(());
        }
        drop(state);
        self.set_owner(Some(leader.session()));
        Ok(())
    }

    /// Opening a terminal that controls no session makes it that of the process, if that leads a session without one.
    pub fn acquire_by_opening(&self) {
        if let Some(thread) = process::current_thread()
            && self.session().is_none()
        {
            // Whoever may not have it opens it all the same.
            let _ = self.acquire(thread.process(), false);
        }
    }

    /// Whether a process of this session may read, write or change the terminal now. One in the background gets `signal`,
    /// with its whole group, and an error; but if that could not stop it, for SIGTTOU it may, and for SIGTTIN not.
    pub fn check_foreground(&self, signal: Signal) -> Result<(), Errno> {
        let Some(thread) = process::current_thread() else { return Ok(()) };
        let process = thread.process();
        let foreground = match self.state.lock().controlled() {
            Some(session) if session.id == process.session() => session.group,
            _ => return Ok(()),
        };
        if foreground == process.group() {
            return Ok(());
        }
        let immune = thread.blocks(signal) || process.actions.is_ignored(signal);
        match (immune, signal) {
            (true, Signal::SIGTTOU) => Ok(()),
            (true, _) => Err(Errno::EIO),
            _ if table::is_orphaned_group(process.group()) => Err(Errno::EIO),
            _ => {
                send::kill_group(process.group(), signal);
                Err(Errno::EINTR)
            }
        }
    }

    /// The process group in the foreground; 0 if no session has the terminal.
    pub fn group(&self) -> u32 {
        self.state.lock().controlled().map_or(0, |session| session.group)
    }

    /// Puts `group` into the foreground. ESRCH if there is none such, EPERM if it is not of the terminal's session, ENOTTY
    /// if no session has the terminal.
    pub fn set_group(&self, group: u32) -> Result<(), Errno> {
        let id = self.session().ok_or(Errno::ENOTTY)?;
        if !table::group_in_session(group, id) {
            return Err(if table::group(group).is_empty() { Errno::ESRCH } else { Errno::EPERM });
        }
        match &mut self.state.lock().session {
            Some(session) if session.id == id => session.group = group,
            _ => return Err(Errno::ENOTTY),
        }
        Ok(())
    }
}
