//! Which cores the server gets and which the generator, so that neither takes the other's time.

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::process::Process;

/// Who runs where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Absent: wherever the kernel puts it.
    pub(crate) server: Option<Vec<usize>>,
    pub(crate) generator: Vec<usize>,
    /// Whether the generator is held to its cores.
    pub(crate) is_pinned: bool,
}

impl Layout {
    /// The server on the first `server` cores, the generator on the others; where there are no others, both on all.
    pub(crate) fn new(cores: &[usize], server: usize) -> Result<Layout> {
        ensure!(
            server <= cores.len(),
            "there are {} cores here, and --server-cores asks for {server}: ask for fewer",
            cores.len()
        );
        let (servers, others) = cores.split_at(server);
        let generator = if others.is_empty() { cores } else { others };
        Ok(Layout { server: Some(servers.to_vec()), generator: generator.to_vec(), is_pinned: true })
    }

    /// Everybody wherever the kernel puts them.
    pub(crate) fn unpinned(cores: &[usize]) -> Layout {
        Layout { server: None, generator: cores.to_vec(), is_pinned: false }
    }

    /// Beside a running server, which stays where it is: on the cores that it may not use, if somebody left any.
    pub(crate) fn beside(server: Option<Vec<usize>>, cores: &[usize]) -> Layout {
        let Some(server) = server else { return Layout::unpinned(cores) };
        let others: Vec<usize> = cores.iter().copied().filter(|core| !server.contains(core)).collect();
        if others.is_empty() {
            return Layout::unpinned(cores);
        }
        Layout { server: Some(server), generator: others, is_pinned: true }
    }

    /// In a few words, for the result.
    pub(crate) fn words(&self) -> String {
        match &self.server {
            None => "server and generator on all cores, unpinned".to_owned(),
            Some(server) if *server == self.generator => "server and generator share all cores".to_owned(),
            Some(server) => format!("server on core {}, generator on core {}", list(server), list(&self.generator)),
        }
    }
}

fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
}

/// The cores that this thread may use.
pub(crate) fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("asking which cores may be used")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Holds every thread of this process to `cores`; threads that they start later inherit it.
pub(crate) fn pin_process(cores: &[usize]) -> Result<()> {
    let set = set_of(cores);
    for id in Process::this().thread_ids()? {
        // One that has just ended cannot be held anywhere.
        let _ = sched_setaffinity(i32::try_from(id).ok().and_then(Pid::from_raw), &set);
    }
    sched_setaffinity(None, &set).context("holding the generator to its cores")
}

/// Holds this thread to `cores`, and the programs that it starts.
pub(crate) fn pin_thread(cores: &[usize]) -> std::io::Result<()> {
    Ok(sched_setaffinity(None, &set_of(cores))?)
}

fn set_of(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_generator_have_cores_of_their_own_where_there_are_enough() {
        let apart = Layout::new(&[0, 1, 2, 3], 1).unwrap();
        assert_eq!((apart.server.clone(), apart.generator.clone()), (Some(vec![0]), vec![1, 2, 3]));
        assert_eq!(apart.words(), "server on core 0, generator on core 1+2+3");
        let shared = Layout::new(&[0, 1], 2).unwrap();
        assert_eq!((shared.server.clone(), shared.generator.clone()), (Some(vec![0, 1]), vec![0, 1]));
        assert_eq!(shared.words(), "server and generator share all cores");
        assert!(Layout::new(&[0, 1], 3).unwrap_err().to_string().contains("2 cores"));
        assert_eq!(Layout::unpinned(&[0, 1]).words(), "server and generator on all cores, unpinned");
    }

    #[test]
    fn beside_a_running_server_the_generator_takes_the_cores_that_were_left() {
        let beside = |server| Layout::beside(server, &[0, 1]);
        assert_eq!(beside(Some(vec![0])).generator, [1]);
        assert!(!beside(Some(vec![0, 1])).is_pinned);
        assert!(!beside(None).is_pinned);
    }

    #[test]
    fn a_thread_is_held_to_the_cores_it_was_given() {
        let one = allowed().unwrap()[0];
        std::thread::spawn(move || {
            pin_thread(&[one]).unwrap();
            assert_eq!(allowed().unwrap(), [one]);
        })
        .join()
        .unwrap();
    }
}
