"""How Phoenix watches itself: structured logs, one line an event, without secrets."""
