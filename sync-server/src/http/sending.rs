//! The body of an answer that may be large. While it is being sent it holds what stands for it: its sender's place among
//! all connections, and its bytes among all that are being sent.

use super::refusal::Refusal;
use super::visitor::{Stay, Visitor};
use crate::hub::Hub;
use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that are given to the socket at a time. They are copied, or the whole would stay in memory until the last of
/// them has been sent.
const CHUNK_BYTES: usize = 64 << 10;

/// How much of all that is being sent these bytes are.
fn weight(hub: &Hub, bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).min(hub.limits.answer_bytes)
}

/// Waits until so many bytes may be in memory, to be sent; whoever holds more than are left is held up by this.
pub(super) async fn room(hub: &Hub, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let room = hub.answers.clone().acquire_many_owned(weight(hub, bytes)).await;
    room.map_err(|_| Refusal::stopping())
}

/// As much as these bytes are more than those for which there is room already; none if there is not so much now.
pub(super) fn more_room(hub: &Hub, held: usize, bytes: usize) -> Option<OwnedSemaphorePermit> {
    let more = weight(hub, bytes).saturating_sub(weight(hub, held));
    hub.answers.clone().try_acquire_many_owned(more).ok()
}

/// The answer of these bytes to a visitor.
///
/// # Errors
/// If as much is being sent as may be.
pub(super) fn answer(visitor: &mut Visitor, bytes: Bytes) -> Result<Response, Refusal> {
    let hub: &Arc<Hub> = &visitor.hub;
    let room = hub.answers.clone().try_acquire_many_owned(weight(hub, bytes.len()));
    let room =
        room.map_err(|_| Refusal::full("the server sends as much at once as it may; try again later"))?;
    let length = bytes.len();
    let held: (Stay, OwnedSemaphorePermit) = (visitor.stay(), room);
    let chunks = stream::unfold((bytes, held), async |(mut rest, held)| {
        let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
        (!chunk.is_empty()).then(|| (Ok::<_, Infallible>(Bytes::copy_from_slice(&chunk)), (rest, held)))
    });
    Ok(([(CONTENT_LENGTH, length)], Body::from_stream(chunks)).into_response())
}
