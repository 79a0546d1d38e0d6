"""The twelve measures by which a contact centre protects its data: what the records show for each, part by part."""
