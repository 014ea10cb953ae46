//! What requests and replies look like, and that nothing else gets through.

use super::*;
use proptest::prelude::{any, prop, proptest};

fn line(message: &impl Serialize) -> String {
    let mut out = Vec::new();
    write_line(&mut out, message);
    String::from_utf8(out).unwrap()
}

fn refused(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().message
}

#[test]
fn every_verb_is_understood() {
    let names = || InstanceNames { instances: vec!["a".to_owned(), "b".to_owned()], all: false };
    let act = |command| RequestBody::Command { command, names: names() };
    let asks = [
        (r#"{"verb":"status"}"#, RequestBody::Status { instance: None }),
        (r#"{"verb":"restart","instances":["a","b"]}"#, act(InstanceCommand::Restart)),
        (r#"{"verb":"reload","instances":["a","b"]}"#, act(InstanceCommand::Reload)),
        (r#"{"instances":["a","b"],"verb":"stop"}"#, act(InstanceCommand::Stop)),
        (r#"{"verb":"start","instances":["a","b"]}"#, act(InstanceCommand::Start)),
        (
            r#"{"verb":"send","channel":"a.m.f","value":1}"#,
            RequestBody::Send { instance: "a".into(), channel: "m.f".into(), value: 1.0, out: false },
        ),
        (
            r#"{"verb":"send","channel":"a.x","value":1,"out":true}"#,
            RequestBody::Send { instance: "a".into(), channel: "x".into(), value: 1.0, out: true },
        ),
        (
            r#"{"verb":"stop","all":true}"#,
            RequestBody::Command {
                command: InstanceCommand::Stop,
                names: InstanceNames { instances: Vec::new(), all: true },
            },
        ),
        (r#"{"verb":"quit"}"#, RequestBody::Quit),
        (r#"{"verb":"monitor"}"#, RequestBody::Monitor { pattern: None }),
        (r#"{"verb":"monitor","pattern":"a.*"}"#, RequestBody::Monitor { pattern: Some("a.*".into()) }),
    ];
    for (text, ask) in asks {
        assert_eq!(parse(text.as_bytes()), Ok(ask), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    assert!(refused("hello").starts_with("not a request: "));
    assert!(refused("[]").starts_with("not a request: "));
    assert!(refused(r#"{"verb":"statsu"}"#).contains("unknown variant `statsu`, expected one of `status`"));
    assert!(refused(r#"{"verb":"status","x":1}"#).contains("unknown field `x`"));
    assert!(refused(r#"{"instances":["a"]}"#).contains("missing field `verb`"));
    assert_eq!(refused(r#"{"verb":"stop","instances":[]}"#), "no instance is named");
    assert_eq!(refused(r#"{"verb":"send","channel":"a","value":0}"#), "`a` is not a channel");
    assert_eq!(refused(r#"{"verb":"send","channel":".x","value":0}"#), "`.x` is not a channel");
    let message = refused(r#"{"verb":"send","channel":"a.b","value":1.5}"#);
    assert_eq!(message, "the value `1.5` is not from 0.0 to 1.0");
    assert!(refused(&"[".repeat(60_000)).starts_with("not a request: "));
}

#[test]
fn the_status_has_the_fields_that_are_promised() {
    let instance = InstanceStatus { name: "a".into(), backend: "osc".into(), ..InstanceStatus::default() };
    let python = InstanceStatus {
        state: InstanceState::Backoff,
        last_exit: Some(LastExit { reason: "exit status 3".into(), ..LastExit::default() }),
        handler_us: Some(HandlerTimes { p50: 0.5, p99: 2.0, max: 8.0 }),
        ..instance.clone()
    };
    let source =
        SourceStatus { name: Some("desk".into()), address: "10.0.0.1".into(), ..SourceStatus::default() };
    let universe = UniverseStatus { universe: 5, sources: vec![source], ..UniverseStatus::default() };
    let instance = InstanceStatus { universes: vec![universe], ..instance };
    let status = ShowStatus {
        show: "s".into(),
        file: "/s.cfg".into(),
        pid: 1,
        uptime_s: 2,
        last_good: None,
        instances: vec![instance, python],
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&ControlReply::Status(status)).unwrap());
}

#[test]
fn replies_survive_their_way() {
    let outcome = Outcome { instance: "a".into(), ok: false, message: "no\nway".into(), traceback: None };
    let event = EventReply {
        instance: "a".into(),
        channel: "x".into(),
        direction: EventDirection::In,
        value: 1.0 / 3.0,
        time_ms: u64::MAX,
    };
    let replies = [
        (
            ControlReply::Status(ShowStatus {
                instances: vec![InstanceStatus::default()],
                ..ShowStatus::default()
            }),
            "{\"status\":{",
        ),
        (ControlReply::Done(vec![outcome]), "{\"done\":[{\"instance\":\"a\""),
        (ControlReply::Sent { destinations: 2 }, "{\"sent\":{\"destinations\":2}}"),
        (ControlReply::Monitoring {}, "{\"monitoring\":{}}"),
        (ControlReply::Event(event), "{\"event\":{\"instance\":\"a\",\"channel\":\"x\",\"way\":\"in\""),
        (ControlReply::Dropped(7), "{\"dropped\":7}"),
        (ControlReply::Refused(ErrorReply::new("no")), "{\"refused\":{\"message\":\"no\",\"hint\":null}}"),
    ];
    for (reply, beginning) in replies {
        let text = line(&reply);
        assert!(text.starts_with(beginning), "{text}");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert_eq!(serde_json::from_str::<ControlReply>(&text).unwrap(), reply);
    }
}

#[test]
fn requests_survive_their_way() {
    let request = ControlRequest::Send { channel: "a.\n\"ü".into(), value: 0.1, out: false };
    let wanted = RequestBody::Send { instance: "a".into(), channel: "\n\"ü".into(), value: 0.1, out: false };
    assert_eq!(parse(line(&request).trim_end().as_bytes()), Ok(wanted));
}

proptest! {
    #[test]
    fn whatever_comes_is_an_ask_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn whatever_looks_like_a_request_is_one_or_refused(
        verb in "(status|restart|send|monitor|x)",
        channel in ".{0,20}",
        value in any::<f64>(),
    ) {
        let text = serde_json::json!({ "verb": verb, "channel": channel, "value": value }).to_string();
        if let Ok(RequestBody::Send { value, .. }) = parse(text.as_bytes()) {
            assert!((0.0..=1.0).contains(&value));
        }
    }
}
