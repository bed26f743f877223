"""The small pages that the links in mails lead to."""
