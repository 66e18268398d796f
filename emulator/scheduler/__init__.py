"""Stand-ins for EventBridge Scheduler."""
