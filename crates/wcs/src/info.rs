//! The texts that pages compare, verbatim as the Web SDK has them (`STREAM_STATUS_INFO` in its constants).

/// Nobody publishes the name.
pub const STREAM_NOT_FOUND: &str = "Stream not found";
/// Somebody publishes the name already.
pub const NAME_IN_USE: &str = "Stream name is already in use";
/// The page stopped its player.
pub const STOPPED_BY_USER: &str = "Stopped by user";
/// The publisher of a played stream has stopped.
pub const STOPPED_BY_PUBLISHER: &str = "Stopped by publisher stop";
/// The publisher's session has ended.
pub const STOPPED_BY_SESSION: &str = "Stopped by session disconnect";
/// `/stream/terminate`.
pub const STOPPED_BY_REST: &str = "Stopped by rest /terminate";
/// The media transport failed.
pub const FAILED_BY_ICE: &str = "Failed by ICE error";
/// No path between the two ends was found in time.
pub const FAILED_BY_ICE_TIMEOUT: &str = "Failed by ICE timeout";
/// The peer fell silent.
pub const FAILED_BY_ICE_KEEP_ALIVE: &str = "Failed by ICE keep alive";
/// No keys were agreed, for instance since the certificate is not the promised one.
pub const FAILED_BY_DTLS: &str = "Failed by DTLS error";
/// The publisher sends nothing.
pub const FAILED_BY_RTP: &str = "Failed by RTP activity";
/// Anything else.
pub const FAILED: &str = "Failed by error";
/// The two ends share no codec that the stream has.
pub const NO_COMMON_CODECS: &str = "No common codecs";
/// The stream would have to be made anew for this player, for instance since it has B-frames.
pub const TRANSCODING: &str = "Transcoding required, but disabled";
/// A request without the identification of its stream.
pub const NO_SESSION_ID: &str = "MediaSessionId is null";
/// The identification is another stream's.
pub const SESSION_ID_IN_USE: &str = "MediaSessionId is already in use";
/// A stream is asked for before `connection`.
pub const SESSION_NOT_READY: &str = "Session not ready";
/// The client has not answered pings.
pub const KEEP_ALIVE: &str = "Terminated by keep-alive";
/// The access rules do not admit it.
pub const RESTRICTED: &str = "Restricted access";
