//! What the user's own web server is asked and told of a session.

use serde_json::{Map, Value, json};
use sluicegate_hub::relay::{Retry, Spec};
use sluicegate_hub::{Hub, State, StreamName};

use super::Link;
use super::leg::Heard;
use crate::hooks::{self, Hooks};
use crate::info;
use crate::media::Failure;
use crate::message::Role;
use crate::service::Inner;
use crate::{address, rest};

impl Link {
    /// What the application hears: whose session it is, and these fields.
    fn body(&self, hooks: &Hooks, fields: Value) -> Value {
        let app_key = self.session.client().get("appKey").cloned().unwrap_or_default();
        let mut body = json!({ "nodeId": hooks.node(), "appKey": app_key, "sessionId": self.peer.token() });
        if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
            body.extend(fields);
        }
        body
    }

    /// Tells the application of something, where there is one.
    pub(super) fn tell(&self, method: &'static str, fields: Value) {
        if let Some(hooks) = &self.inner.hooks {
            hooks.tell(method, self.body(hooks, fields));
        }
    }

    /// Tells the application how a session stands that it has heard of.
    pub(super) fn tell_connection(&self, status: &str) {
        if !self.session.client().is_empty() {
            self.tell(hooks::CONNECTION_STATUS, json!({ "status": status }));
        }
    }

    /// Asks the application for something that concerns the session; without one all is allowed.
    pub(super) fn ask(
        &self,
        method: &'static str,
        fields: Value,
        id: String,
        verdict: fn(Option<Map<String, Value>>) -> Heard,
    ) {
        let asked = self.inner.hooks.clone().map(|hooks| (self.body(&hooks, fields), hooks));
        let heard = self.heard.clone();
        tokio::spawn(async move {
            let said = match asked {
                Some((body, hooks)) => hooks.ask(method, &body).await,
                None => Some(Map::new()),
            };
            // A session that is gone needs no answer.
            drop(heard.send((id, 0, verdict(said))).await);
        });
    }

    /// What a client wants, for the application.
    pub(super) fn wish(&self, hooks: &Hooks, id: &str, offer: &str, custom: Option<&Value>) -> Value {
        let stream = self.stream(id);
        let wish = json!({
            "mediaSessionId": id,
            "name": stream.map(|stream| stream.name.as_str()),
            "published": stream.is_some_and(|stream| stream.role == Role::Publish),
            "hasVideo": stream.is_some_and(|stream| stream.has_video),
            "hasAudio": stream.is_some_and(|stream| stream.has_audio),
            "status": "PENDING", "sdp": offer, "record": false, "mediaProvider": "WebRTC", "custom": custom,
            "rtmpUrl": stream.and_then(|stream| stream.republish.as_deref()),
        });
        self.body(hooks, wish)
    }

    /// Whether a stream may go where its publisher wants it republished: who may not ask that of the REST interface may
    /// not make this server dial whom it likes by this way, but only those whom the configuration names.
    pub(super) fn may_republish(&self, id: &str) -> bool {
        let Some(url) = self.stream(id).and_then(|stream| stream.republish.as_deref()) else { return true };
        self.permissions.manage || self.inner.config.republish.iter().any(|allowed| address::is_below(url, allowed))
    }
}

/// The name under which the application lets a client publish or play.
pub(super) async fn allowed_name(
    hooks: &Hooks,
    hub: &Hub,
    role: Role,
    asked: StreamName,
    body: &Value,
) -> Result<StreamName, Failure> {
    let method = if role == Role::Publish { hooks::PUBLISH } else { hooks::PLAY };
    let said = hooks.ask(method, body).await;
    let said = said.ok_or_else(|| Failure::failed(info::RESTRICTED, "the application refuses it"))?;
    let given = said.get("name").and_then(Value::as_str).map(StreamName::parse);
    let name = given.unwrap_or(Ok(asked));
    let name = name.map_err(|error| Failure::failed(info::FAILED, format!("the application's name: {error}")))?;
    if role == Role::Play && !is_available(hub, &name) {
        return Err(Failure::failed(info::STREAM_NOT_FOUND, "nobody publishes it"));
    }
    Ok(name)
}

/// Republishes a stream by RTMP until it ends. What becomes of it is shown by the lists of relays alone: the protocol has
/// no words for it, and the stream itself goes on.
pub(super) fn republish(inner: &Inner, name: &str, url: &str) {
    let Ok(stream) = StreamName::parse(name) else { return };
    let begun = match address::republished(url, name, false) {
        Some(target) => inner.parts.relays.push(Spec::push(stream, target, Retry::Times(0))).map(drop),
        None => return tracing::warn!(stream = name, "rtmpUrl is no address of rtmp: or rtmps:"),
    };
    if let Err(error) = begun {
        tracing::warn!(stream = name, %error, "a stream is not republished");
    }
}

/// The stream of a name. The address of a source that `/rtsp/startup` pulls is one as well.
pub(super) fn named(inner: &Inner, name: &str) -> Option<StreamName> {
    StreamName::parse(name).ok().or_else(|| rest::pulled_from(&inner.parts.relays, name))
}

/// Whether somebody publishes it, or a site would.
pub(super) fn is_available(hub: &Hub, name: &StreamName) -> bool {
    hub.stream(name).is_some_and(|status| status.state != State::Waiting)
}
