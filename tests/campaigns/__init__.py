"""What a promise survives: faults, damage and hostile input by the thousand, each a command
(``python -m tests.campaigns.NAME``; all of them: ``make campaigns``). Each ends with exit code 1
where a promise is broken."""
