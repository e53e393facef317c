//! Names of workspaces, asked of the system's resolver. It waits on threads that nobody can stop, for as long as it likes:
//! so each name is asked for once however many want it, and only so many at once.
//!
//! How long an answer is believed, and how long one waits for it, is for those who ask.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use portway_proxy::control::Resolved;
use tokio::sync::{Semaphore, oneshot, watch};

/// How many names are asked for at once. The runtime has 512 threads for what blocks: names that nobody answers for leave the
/// other half to passwords and files.
const AT_ONCE: usize = 256;

/// A name and the life of the workspace that it is wanted for: what was asked in the life before may lead there (R36).
type Question = (Arc<str>, Arc<str>);

/// Those who want the same answer wait for it here.
type Answer = watch::Receiver<Option<Resolved>>;

/// The resolver. Clones are the same.
#[derive(Clone)]
pub(super) struct Resolver<F> {
    ask: F,
    places: Arc<Semaphore>,
    under_way: Arc<Mutex<HashMap<Question, Answer>>>,
}

impl<F, A> Resolver<F>
where
    F: Fn(Arc<str>) -> A + Clone + Send + 'static,
    A: Future<Output = Vec<IpAddr>> + Send + 'static,
{
    /// Names are asked for by `ask`.
    pub(super) fn new(ask: F) -> Self {
        Self { ask, places: Arc::new(Semaphore::new(AT_ONCE)), under_way: Arc::default() }
    }

    /// Answers once the resolver has, unless nobody wants to know any more.
    pub(super) fn resolve(&self, name: Arc<str>, generation: Arc<str>, mut answer: oneshot::Sender<Resolved>) {
        let found = self.join((name, generation));
        tokio::spawn(async move {
            tokio::select! {
                () = answer.closed() => {}
                resolved = outcome(found) => {
                    if let Some(resolved) = resolved {
                        let _ = answer.send(resolved);
                    }
                }
            }
        });
    }

    /// The answer to a question, which is asked unless it is already.
    fn join(&self, question: Question) -> Answer {
        match self.under_way().entry(question) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let (tell, found) = watch::channel(None);
                tokio::spawn(self.clone().look_up(entry.key().clone(), tell));
                entry.insert(found).clone()
            }
        }
    }

    async fn look_up(self, question: Question, tell: watch::Sender<Option<Resolved>>) {
        // It is never closed.
        let _place = self.places.acquire().await;
        if !self.is_wanted(&question, &tell) {
            return;
        }
        let asked = Instant::now();
        let addresses = (self.ask)(question.0.clone()).await.into();
        self.under_way().remove(&question);
        let _ = tell.send(Some(Resolved { asked, addresses }));
    }

    /// Whether somebody still waits; if not, the question is forgotten.
    fn is_wanted(&self, question: &Question, tell: &watch::Sender<Option<Resolved>>) -> bool {
        let mut under_way = self.under_way();
        // One of them is kept for those who come later.
        let wanted = tell.receiver_count() > 1;
        if !wanted {
            under_way.remove(question);
        }
        wanted
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Question, Answer>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a question; `None` where it was forgotten.
async fn outcome(mut found: Answer) -> Option<Resolved> {
    found.wait_for(Option::is_some).await.ok().and_then(|resolved| resolved.clone())
}

/// Every address of a name, by the system's resolver.
pub(super) async fn by_the_system(name: Arc<str>) -> Vec<IpAddr> {
    match tokio::net::lookup_host((&*name, 0)).await {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.map(|address| address.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            addresses
        }
        Err(error) => {
            tracing::debug!(%name, %error, "a workspace's name was not resolved");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use portway_testkit::{eventually_async, within};

    use super::*;

    /// A resolver that answers as often as it is let, and what it was asked.
    #[derive(Clone)]
    struct Slow {
        let_through: Arc<Semaphore>,
        asked: Arc<Mutex<Vec<Arc<str>>>>,
        at_once: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    type Asking = Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>>;

    impl Slow {
        fn new() -> Self {
            let let_through = Arc::new(Semaphore::new(0));
            Self { let_through, asked: Arc::default(), at_once: Arc::default(), most: Arc::default() }
        }

        fn resolver(&self) -> Resolver<impl Fn(Arc<str>) -> Asking + Clone + Send + use<>> {
            let slow = self.clone();
            Resolver::new(move |name| -> Asking { Box::pin(slow.clone().answer(name)) })
        }

        async fn answer(self, name: Arc<str>) -> Vec<IpAddr> {
            self.asked.lock().unwrap().push(name);
            self.most.fetch_max(self.at_once.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            self.let_through.acquire().await.unwrap().forget();
            self.at_once.fetch_sub(1, Ordering::Relaxed);
            vec![[10, 0, 0, 7].into()]
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    fn ask<F, A>(resolver: &Resolver<F>, name: &str, generation: &str) -> oneshot::Receiver<Resolved>
    where
        F: Fn(Arc<str>) -> A + Clone + Send + 'static,
        A: Future<Output = Vec<IpAddr>> + Send + 'static,
    {
        let (answer, resolved) = oneshot::channel();
        resolver.resolve(name.into(), generation.into(), answer);
        resolved
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_however_many_want_it_and_again_in_another_life() {
        let slow = Slow::new();
        let resolver = slow.resolver();
        let mut all: Vec<_> = (0..600).map(|_| ask(&resolver, "blue", "1")).collect();
        all.extend((0..600).map(|_| ask(&resolver, "blue", "2")));
        eventually_async("both lives to be asked for", async || slow.asked() == 2).await;
        slow.let_through.add_permits(2);
        for resolved in all {
            let resolved = within("an answer", resolved).await.unwrap();
            assert_eq!(*resolved.addresses, [IpAddr::from([10, 0, 0, 7])]);
        }
        assert_eq!(slow.asked(), 2);
        // What was told is not kept.
        slow.let_through.add_permits(1);
        within("another answer", ask(&resolver, "blue", "1")).await.unwrap();
        assert_eq!(slow.asked(), 3);
        assert!(resolver.under_way().is_empty());
    }

    #[tokio::test]
    async fn only_so_many_names_are_asked_for_at_once_and_none_that_nobody_waits_for() {
        let slow = Slow::new();
        let resolver = slow.resolver();
        let first: Vec<_> = (0..AT_ONCE).map(|number| ask(&resolver, &format!("first{number}"), "1")).collect();
        drop(ask(&resolver, "nobody", "1"));
        let later: Vec<_> = (0..9).map(|number| ask(&resolver, &format!("later{number}"), "1")).collect();
        eventually_async("every place to be taken", async || slow.asked() == AT_ONCE).await;
        slow.let_through.add_permits(AT_ONCE + later.len());
        for resolved in first.into_iter().chain(later) {
            within("an answer", resolved).await.unwrap();
        }
        assert_eq!(slow.most.load(Ordering::Relaxed), AT_ONCE);
        assert_eq!(slow.asked(), AT_ONCE + 9);
        assert!(!slow.asked.lock().unwrap().iter().any(|name| &**name == "nobody"));
        assert!(resolver.under_way().is_empty());
    }
}
