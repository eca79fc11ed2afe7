"""Measurements that several pages share: a setting and what it costs. Nothing here is drawn."""
