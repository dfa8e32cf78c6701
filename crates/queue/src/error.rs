/// One variant for each thing that a caller can do about it. No password is in any of them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// Nothing can be published or received any more: the queue was closed.
    #[error("the queue is closed")]
    Closed,
    /// Nothing but another configuration of this service or of the broker helps.
    #[error("RabbitMQ at {broker}: {problem}")]
    Config { broker: String, problem: String },
    /// The broker is not there or takes nothing at the moment. It may help to try again.
    #[error("RabbitMQ at {broker}: {problem}")]
    Unavailable { broker: String, problem: String },
    /// The broker answered, but did not keep the message. It may help to try again, and somebody should look.
    #[error("RabbitMQ at {broker} did not keep a message: {problem}")]
    NotKept { broker: String, problem: String },
}
