 ЃА—Сня–:
	malformed	no exportR	request-3