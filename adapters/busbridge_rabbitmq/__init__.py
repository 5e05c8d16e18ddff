"""busbridge's transport for RabbitMQ: queues and topics over AMQP 0-9-1."""

from busbridge_rabbitmq._transport import RabbitMQTransport

__all__ = ["RabbitMQTransport"]
