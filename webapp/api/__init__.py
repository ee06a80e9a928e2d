"""The web API: one blueprint an area. Views parse, call a service and answer."""
