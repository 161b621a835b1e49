"""What every HTTP door shares: parsing, rendering, errors, fields, paging, limits. No app's routes live here."""
