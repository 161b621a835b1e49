"""What nodes say, as values, and how they are judged. Pure: no Django, no network, no clock."""
