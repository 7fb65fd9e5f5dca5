//! seccomp: which system calls are answered.
//!
//! A list of what computing takes; everything else fails with `EPERM`, so that a library that
//! merely tries (the number of processors, the time zone) goes on without. A call by another
//! architecture's convention ends the process.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// What the filter holds back, in the words of a report.
pub(super) const HELD: &str = "no network, no other process, no thread (seccomp)";

/// A call, and which of its argument must be what; `None` is any.
type Rule = (c_long, Option<(u8, SeccompCmpOp, u64)>);

/// What a plugin and the loop around it do.
const COMPUTING: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Lets through what computing takes and what opening the plugin's library takes.
pub(super) fn install() -> Result<String, String> {
    let lacking =
        |why: String| format!("seccomp {why}: it may use the network, and more than one core");
    let pid = u64::from(std::process::id());
    let writing = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE;
    let mut rules: Vec<Rule> = COMPUTING.iter().map(|call| (*call, None)).collect();
    rules.extend([
        // `abort` signals its own process, and no other.
        (libc::SYS_tgkill, Some((0, SeccompCmpOp::Eq, pid))),
        // Limits can be read: the new ones are absent.
        (libc::SYS_prlimit64, Some((2, SeccompCmpOp::Eq, 0))),
        // Flags can be read; whom a descriptor signals cannot be set.
        fcntl(libc::F_GETFD),
        fcntl(libc::F_SETFD),
        fcntl(libc::F_GETFL),
        // The library, and the second filter.
        (
            libc::SYS_openat,
            Some((2, SeccompCmpOp::MaskedEq(bits(writing)), 0)),
        ),
        (
            libc::SYS_newfstatat,
            Some((3, SeccompCmpOp::Eq, bits(libc::AT_EMPTY_PATH))),
        ),
        (
            libc::SYS_prctl,
            Some((0, SeccompCmpOp::Eq, bits(libc::PR_SET_NO_NEW_PRIVS))),
        ),
        (libc::SYS_seccomp, None),
    ]);
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    program(&rules, denied, SeccompAction::Allow)
        .and_then(|program| apply(&program))
        .map_err(|error| lacking(format!("fails ({error})")))?;
    Ok(HELD.to_owned())
}

/// Takes away what only opening the library took, and that memory becomes code.
pub(super) fn seal() -> Result<(), String> {
    let code = u64::from(libc::PROT_EXEC.unsigned_abs());
    let code = || Some((2, SeccompCmpOp::MaskedEq(code), code));
    let rules = [
        (libc::SYS_openat, None),
        (libc::SYS_newfstatat, None),
        (libc::SYS_prctl, None),
        (libc::SYS_seccomp, None),
        (libc::SYS_mmap, code()),
        (libc::SYS_mprotect, code()),
    ];
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let program = program(&rules, SeccompAction::Allow, denied)?;
    apply(&program)
}

fn fcntl(command: i32) -> Rule {
    (libc::SYS_fcntl, Some((1, SeccompCmpOp::Eq, bits(command))))
}

/// Flags as the kernel sees them.
fn bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

fn program(
    rules: &[Rule],
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, String> {
    let told = |error: seccompiler::BackendError| error.to_string();
    let mut by_call: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    for (call, condition) in rules {
        let alternatives = by_call.entry(*call).or_default();
        if let Some((argument, operator, value)) = condition {
            let condition = SeccompCondition::new(
                *argument,
                if *value > u64::from(u32::MAX) || *call == libc::SYS_prlimit64 {
                    SeccompCmpArgLen::Qword
                } else {
                    SeccompCmpArgLen::Dword
                },
                operator.clone(),
                *value,
            );
            let rule = SeccompRule::new(vec![condition.map_err(told)?]);
            alternatives.push(rule.map_err(told)?);
        }
    }
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(told)?;
    let filter = SeccompFilter::new(by_call, otherwise, matched, machine).map_err(told)?;
    filter.try_into().map_err(told)
}

fn apply(program: &BpfProgram) -> Result<(), String> {
    seccompiler::apply_filter(program).map_err(|error| error.to_string())
}
