//! A stranger at the other end of a session. The shell around it does what a server does: it grants what is asked for,
//! applies what comes, and answers.

use super::common::{Rng, random_ops};
use super::decoders::check_sound;
use super::script::{Step, steps};
use super::seeds::{NAMES, histories};
use std::collections::BTreeMap;
use watersmeet_crdt::session::{Code, Event, Frame, Input, Limits, Output, Session, Token, Violation};
use watersmeet_crdt::{Delta, Document, ReplicaId, Time};

/// More than any one frame may make a session say.
const OUTPUTS_MAX: usize = 200;
/// Small, so that a fuzzer reaches them.
pub(super) const LIMITS: Limits = Limits {
    frame_bytes: 1_000,
    delta_bytes: 2_000,
    part_bytes: 500,
    documents: 3,
    name_bytes: 16,
    token_bytes: 16,
    presence_bytes: 64,
    clock_skew_millis: 60_000,
    handshake_millis: 10_000,
    idle_millis: 10_000,
};

/// Who calls a session that listens.
pub fn listener(data: &[u8]) {
    let session = Session::listen(Time::default(), ReplicaId::new(1), LIMITS);
    Shell::new(session, false).play(data);
}

/// Who is called.
pub fn caller(data: &[u8]) {
    let mut shell =
        Shell::new(Session::call(Time::default(), ReplicaId::new(1), Token::default(), LIMITS), true);
    for (name, document) in NAMES.into_iter().zip(histories()) {
        shell.session.open(name, document.version().clone());
    }
    shell.play(data);
}

struct Shell {
    session: Session,
    calls: bool,
    now: Time,
    rng: Rng,
    /// By name; a document once granted stays.
    documents: BTreeMap<String, Document>,
    greetings: usize,
    /// Whether the shell has ended it.
    over: bool,
}

impl Shell {
    fn new(session: Session, calls: bool) -> Self {
        let documents = NAMES.into_iter().map(str::to_owned).zip(histories()).collect();
        Shell { session, calls, now: Time::default(), rng: Rng(3), documents, greetings: 0, over: false }
    }

    fn play(mut self, data: &[u8]) {
        self.drain();
        for step in steps(data) {
            let handled = match step {
                Step::Frame(bytes) => self.session.handle(self.now, Input::Frame(bytes)),
                Step::Pass(millis) => {
                    self.now = self.now.plus(millis);
                    self.session.handle(self.now, Input::Tick)
                }
                Step::Act(what) => {
                    self.act(what);
                    Ok(())
                }
            };
            let too_large = matches!(step, Step::Frame(bytes) if bytes.len() > LIMITS.frame_bytes);
            match handled {
                Ok(()) => {
                    assert!(!too_large || self.over, "a frame beyond the limit");
                    self.drain();
                }
                Err(violation) => {
                    self.ended(&violation);
                    break;
                }
            }
        }
        self.documents.values().for_each(check_sound);
    }

    /// The last word tells why, unless it had been said; after it there is silence.
    fn ended(&mut self, violation: &Violation) {
        let Output::Send(last) = self.session.poll() else { panic!("{violation}: and the peer is not told") };
        let told = Frame::decode(&last).expect("a frame");
        assert!(matches!(told, Frame::Error { code, .. } if code == violation.code()), "{told:?}");
        let forever = Output::Wait(Time::from_millis(u64::MAX));
        assert_eq!(self.session.poll(), forever);
        for input in [Input::Frame(&[]), Input::Frame(&Frame::Ping.encode()), Input::Tick] {
            assert_eq!(self.session.handle(self.now, input), Ok(()));
            assert_eq!(self.session.poll(), forever, "a session that is over speaks");
        }
    }

    fn drain(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            match self.session.poll() {
                Output::Wait(_) => match self.session.take_part() {
                    Some(part) => self.said(&part),
                    None => return,
                },
                Output::Send(bytes) => self.said(&bytes),
                Output::Event(event) => self.answer(event),
            }
        }
        panic!("a session that does not come to rest");
    }

    /// What is said is what this end has to say.
    fn said(&mut self, bytes: &[u8]) {
        let frame = Frame::decode(bytes).expect("a session says frames");
        if matches!(frame, Frame::Hello { .. }) {
            self.greetings += 1;
            assert_eq!(self.greetings, 1, "it greets once");
        }
        assert!(self.greetings == 1 || matches!(frame, Frame::Error { .. }), "{frame:?} before the greeting");
        if self.calls {
            assert!(!frame.is_an_answer(), "{frame:?} from the end that called");
        } else {
            assert!(!matches!(frame, Frame::Open { .. }), "{frame:?} from the end that was called");
        }
    }

    fn answer(&mut self, event: Event) {
        match event {
            Event::Greeted { token, .. } => {
                assert!(!self.calls && token.len() <= LIMITS.token_bytes);
                self.session.welcome();
            }
            Event::Open { name, version } => {
                assert!(!self.calls && name.len() <= LIMITS.name_bytes);
                let channel = u32::try_from(name.len()).unwrap();
                let taken = self.session.name(channel).is_some();
                match self.documents.get(&name) {
                    Some(document) if !taken => {
                        self.session.accept(&name, channel, version.clone(), document.version().clone());
                        self.session.send(channel, &document.since(&version));
                    }
                    _ => self.session.refuse(&name, Code::Unavailable, "not here"),
                }
            }
            Event::Opened { channel, version, .. } => {
                assert!(self.calls);
                self.tell(channel, |document| document.since(&version));
            }
            Event::Lacks { channel } => {
                let has = self.session.peer_has(channel).expect("an open channel").clone();
                self.tell(channel, |document| document.since(&has));
            }
            Event::Delta { channel, delta, bytes } => {
                assert!(bytes.len() <= LIMITS.delta_bytes, "a delta beyond the limit");
                self.take(channel, *delta);
            }
            Event::Begun { channel } => {
                if self.rng.chance(20) {
                    self.session.skip(channel);
                }
            }
            Event::Presence { state, .. } => assert!(state.len() <= LIMITS.presence_bytes),
            Event::Acknowledged { .. } | Event::Refused { .. } | Event::Redirected { .. } => {
                assert!(self.calls);
            }
            Event::Closed { channel } => assert_eq!(self.session.name(channel), None),
        }
    }

    fn document(&mut self, channel: u32) -> Option<&mut Document> {
        self.documents.get_mut(self.session.name(channel)?)
    }

    fn tell(&mut self, channel: u32, what: impl FnOnce(&Document) -> Delta) {
        if let Some(delta) = self.document(channel).map(|document| what(document)) {
            self.session.send(channel, &delta);
        }
    }

    fn take(&mut self, channel: u32, delta: Delta) {
        let gained = delta.to().clone();
        let Some(document) = self.document(channel) else { return };
        let (version, hash) = (document.version().clone(), document.hash());
        if document.apply(delta).is_err() {
            assert!(document.hash() == hash, "a refused delta changes the document");
            self.session.lacks(channel, version);
        } else if !self.calls {
            self.session.acknowledge(channel, gained);
        }
    }

    /// One of the things that a shell does of its own accord.
    fn act(&mut self, what: u8) {
        let channel = u32::from(what >> 3);
        match what & 7 {
            0..=2 => {
                let ops = random_ops(&mut self.rng);
                let now = self.now;
                let Some(document) = self.document(channel) else { return };
                // Refused only when a stranger has claimed all the events that there are.
                if document.commit(now, ops).is_err() {
                    return;
                }
                if let Some(has) = self.session.peer_has(channel).cloned() {
                    self.tell(channel, |document| document.since(&has));
                }
            }
            3 => self.session.present_as(channel, 7, &[1, 2]),
            4 => self.session.close(channel),
            5 => self.tell(channel, Document::state),
            6 => self.session.believe(channel, self.documents[NAMES[0]].version().clone()),
            _ if self.calls => {
                self.session.open(NAMES[usize::from(what >> 3) % NAMES.len()], Default::default())
            }
            _ => {
                self.over = true;
                self.session.end(Code::Shutdown, "going down");
            }
        }
    }
}
