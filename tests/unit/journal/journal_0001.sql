-- A journal as the version with schema 0001 left it: transactions in many states, an open queue.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE api_keys (
	id BIGINT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	label TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	valid_from BIGINT, 
	valid_until BIGINT, 
	revoked_at BIGINT, 
	last_used_at BIGINT, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT fk_api_keys_organisation_id FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT uq_api_keys_digest UNIQUE (digest)
);
CREATE TABLE devices (
	terminal_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	serial TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	lifecycle TEXT NOT NULL, 
	activated_at BIGINT, 
	removed_at BIGINT, 
	CONSTRAINT pk_devices PRIMARY KEY (terminal_id, number), 
	CONSTRAINT fk_devices_terminal_id FOREIGN KEY(terminal_id) REFERENCES terminals (id)
);
CREATE TABLE discrepancies (
	id INTEGER NOT NULL, 
	transaction_id TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	known TEXT NOT NULL, 
	heard TEXT NOT NULL, 
	closed_at BIGINT, 
	closed_by TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_discrepancies PRIMARY KEY (id)
);
INSERT INTO "discrepancies" VALUES(1,'1795266053500310698473173319909',1795266053502,'The transaction is DECLINED.','It is APPROVED for 9.00 EUR (answer).',NULL,'','');
CREATE TABLE estate_versions (
	id INTEGER NOT NULL, 
	version BIGINT NOT NULL, 
	CONSTRAINT pk_estate_versions PRIMARY KEY (id)
);
INSERT INTO "estate_versions" VALUES(1,10);
CREATE TABLE events (
	position INTEGER NOT NULL, 
	transaction_id TEXT NOT NULL, 
	sequence INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	detail TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (position), 
	CONSTRAINT uq_events_transaction_id_sequence UNIQUE (transaction_id, sequence)
);
INSERT INTO "events" VALUES(1,'1795266053496140980493336401327',1,'accept','ACCEPTED',1795266053496,'{}');
INSERT INTO "events" VALUES(2,'1795266053496140980493336401327',2,'dispatch','SENT',1795266053496,'{}');
INSERT INTO "events" VALUES(3,'1795266053496140980493336401327',3,'start','STARTED',1795266053497,'{"peer":["stan"],"display":"Present card"}');
INSERT INTO "events" VALUES(4,'1795266053496140980493336401327',4,'approve','APPROVED',1795266053497,'{"evidence":"answer","approved_amount":1250}');
INSERT INTO "events" VALUES(5,'1795266053498348509585988929126',1,'accept','ACCEPTED',1795266053498,'{}');
INSERT INTO "events" VALUES(6,'1795266053498348509585988929126',2,'dispatch','SENT',1795266053498,'{}');
INSERT INTO "events" VALUES(7,'1795266053498348509585988929126',3,'approve','APPROVED',1795266053499,'{"evidence":"answer","approved_amount":500}');
INSERT INTO "events" VALUES(8,'1795266053500310698473173319909',1,'accept','ACCEPTED',1795266053500,'{}');
INSERT INTO "events" VALUES(9,'1795266053500310698473173319909',2,'dispatch','SENT',1795266053500,'{}');
INSERT INTO "events" VALUES(10,'1795266053500310698473173319909',3,'decline','DECLINED',1795266053500,'{"evidence":"answer","reason":"Do not honour"}');
INSERT INTO "events" VALUES(11,'1795266053501694373042213409462',1,'accept','ACCEPTED',1795266053501,'{}');
INSERT INTO "events" VALUES(12,'1795266053501694373042213409462',2,'dispatch','SENT',1795266053501,'{}');
INSERT INTO "events" VALUES(13,'1795266053501694373042213409462',3,'lose','UNKNOWN',1795266053502,'{"reason":"The answer was lost, so nobody can tell yet what happened. reset"}');
INSERT INTO "events" VALUES(14,'1795266053500310698473173319909',4,'contradict','DECLINED',1795266053502,'{"heard":"It is APPROVED for 9.00 EUR (answer)."}');
INSERT INTO "events" VALUES(15,'1795266053503868612957655537646',1,'accept','ACCEPTED',1795266053503,'{}');
INSERT INTO "events" VALUES(16,'1795266053503868612957655537646',2,'dispatch','SENT',1795266053503,'{}');
INSERT INTO "events" VALUES(17,'1795266053504218049756146996519',1,'accept','ACCEPTED',1795266053504,'{}');
CREATE TABLE idempotency (
	organisation_id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	transaction_id TEXT NOT NULL, 
	at BIGINT NOT NULL, 
	CONSTRAINT pk_idempotency PRIMARY KEY (organisation_id, "key")
);
INSERT INTO "idempotency" VALUES('shop','k-1','51ca22275bba0ac5ce4cc79604928630de7164e7b0a378073fad35410893a4b1','1795266053496140980493336401327',1795266053496);
CREATE TABLE merchants (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_merchants PRIMARY KEY (id), 
	CONSTRAINT fk_merchants_organisation_id FOREIGN KEY(organisation_id) REFERENCES organisations (id)
);
INSERT INTO "merchants" VALUES('shop-m','shop','Merchant');
INSERT INTO "merchants" VALUES('other-m','other','Merchant');
CREATE TABLE occupancy (
	terminal_id TEXT NOT NULL, 
	transaction_id TEXT, 
	owner TEXT NOT NULL, 
	token BIGINT NOT NULL, 
	deadline BIGINT, 
	CONSTRAINT pk_occupancy PRIMARY KEY (terminal_id)
);
INSERT INTO "occupancy" VALUES('t1','1795266053503868612957655537646','gateway',7,NULL);
INSERT INTO "occupancy" VALUES('t2','1795266053501694373042213409462','gateway',1,NULL);
CREATE TABLE organisations (
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_organisations PRIMARY KEY (id)
);
INSERT INTO "organisations" VALUES('shop','Shop');
INSERT INTO "organisations" VALUES('other','Other');
CREATE TABLE stores (
	id TEXT NOT NULL, 
	merchant_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	address TEXT NOT NULL, 
	city TEXT NOT NULL, 
	zip_code TEXT NOT NULL, 
	country TEXT NOT NULL, 
	time_zone TEXT NOT NULL, 
	currency TEXT NOT NULL, 
	CONSTRAINT pk_stores PRIMARY KEY (id), 
	CONSTRAINT fk_stores_merchant_id FOREIGN KEY(merchant_id) REFERENCES merchants (id)
);
INSERT INTO "stores" VALUES('shop-s','shop-m','Corner Shop','Damrak 1','Amsterdam','1012 LG','NL','Europe/Amsterdam','EUR');
INSERT INTO "stores" VALUES('other-s','other-m','Corner Shop','Damrak 1','Amsterdam','1012 LG','NL','Europe/Amsterdam','EUR');
CREATE TABLE terminals (
	id TEXT NOT NULL, 
	organisation_id TEXT NOT NULL, 
	store_id TEXT NOT NULL, 
	manufacturer TEXT NOT NULL, 
	model TEXT NOT NULL, 
	serial TEXT NOT NULL, 
	tid TEXT NOT NULL, 
	driver TEXT NOT NULL, 
	settings TEXT NOT NULL, 
	lifecycle TEXT NOT NULL, 
	device_digest BLOB, 
	CONSTRAINT pk_terminals PRIMARY KEY (id), 
	CONSTRAINT fk_terminals_organisation_id FOREIGN KEY(organisation_id) REFERENCES organisations (id), 
	CONSTRAINT fk_terminals_store_id FOREIGN KEY(store_id) REFERENCES stores (id), 
	CONSTRAINT uq_terminals_device_digest UNIQUE (device_digest)
);
INSERT INTO "terminals" VALUES('t1','shop','shop-s','TILLWIRE','V1','t1','','virtual','{}','ACTIVATED',NULL);
INSERT INTO "terminals" VALUES('t2','shop','shop-s','TILLWIRE','V1','t2','','virtual','{}','ACTIVATED',NULL);
INSERT INTO "terminals" VALUES('t3','shop','shop-s','TILLWIRE','V1','t3','','virtual','{}','ACTIVATED',NULL);
INSERT INTO "terminals" VALUES('x1','other','other-s','TILLWIRE','V1','x1','','virtual','{}','ACTIVATED',NULL);
CREATE TABLE transactions (
	id TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	organisation_id TEXT NOT NULL, 
	terminal_id TEXT NOT NULL, 
	dialect TEXT NOT NULL, 
	type TEXT NOT NULL, 
	state TEXT NOT NULL, 
	amount BIGINT NOT NULL, 
	currency TEXT NOT NULL, 
	reference TEXT NOT NULL, 
	heading TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	original_id TEXT, 
	partial_allowed INTEGER NOT NULL, 
	register TEXT NOT NULL, 
	waits INTEGER NOT NULL, 
	expires_at BIGINT, 
	token BIGINT NOT NULL, 
	sent_at BIGINT, 
	send_by BIGINT, 
	deadline BIGINT, 
	started_at BIGINT, 
	peer TEXT, 
	outcome TEXT, 
	proof TEXT, 
	ended_at BIGINT, 
	cleared_at BIGINT, 
	reversed_at BIGINT, 
	CONSTRAINT pk_transactions PRIMARY KEY (id)
);
INSERT INTO "transactions" VALUES('1795266053496140980493336401327',4,'shop','t1','merchantapi','PURCHASE','APPROVED',1250,'EUR','sale-1','{"store_id":"shop-s","store":"Corner Shop","address":"Damrak 1","zip_code":"1012 LG","city":"Amsterdam","country":"NL","time_zone":"Europe/Amsterdam","terminal":"TILLWIRE-V1-t1","tid":""}',1795266053496,NULL,0,'',1,NULL,1,1795266053496,1795266058496,1795266233496,1795266053497,'{"stan":"7"}','{"verdict":"APPROVED","approved_amount":1250,"stan":"000001","brand":"VISA"}',NULL,1795266053497,1795266053497,NULL);
INSERT INTO "transactions" VALUES('1795266053498348509585988929126',3,'shop','t1','merchantapi','REFUND','APPROVED',500,'EUR','sale-1','{"store_id":"shop-s","store":"Corner Shop","address":"Damrak 1","zip_code":"1012 LG","city":"Amsterdam","country":"NL","time_zone":"Europe/Amsterdam","terminal":"TILLWIRE-V1-t1","tid":""}',1795266053498,'1795266053496140980493336401327',0,'',1,NULL,3,1795266053498,1795266058498,1795266233498,NULL,NULL,'{"verdict":"APPROVED","approved_amount":500,"stan":"000001","brand":"VISA"}',NULL,1795266053499,1795266053499,NULL);
INSERT INTO "transactions" VALUES('1795266053500310698473173319909',4,'shop','t1','merchantapi','PURCHASE','DECLINED',900,'EUR','sale-1','{"store_id":"shop-s","store":"Corner Shop","address":"Damrak 1","zip_code":"1012 LG","city":"Amsterdam","country":"NL","time_zone":"Europe/Amsterdam","terminal":"TILLWIRE-V1-t1","tid":""}',1795266053500,NULL,0,'',1,NULL,5,1795266053500,1795266058500,1795266233500,NULL,NULL,'{"verdict":"DECLINED","reason":"Do not honour","response_code":"05"}',NULL,1795266053500,NULL,NULL);
INSERT INTO "transactions" VALUES('1795266053501694373042213409462',3,'shop','t2','merchantapi','PURCHASE','UNKNOWN',700,'EUR','sale-1','{"store_id":"shop-s","store":"Corner Shop","address":"Damrak 1","zip_code":"1012 LG","city":"Amsterdam","country":"NL","time_zone":"Europe/Amsterdam","terminal":"TILLWIRE-V1-t2","tid":""}',1795266053501,NULL,0,'',1,NULL,1,1795266053501,1795266058501,1795266233501,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "transactions" VALUES('1795266053503868612957655537646',2,'shop','t1','merchantapi','PURCHASE','SENT',300,'EUR','sale-1','{"store_id":"shop-s","store":"Corner Shop","address":"Damrak 1","zip_code":"1012 LG","city":"Amsterdam","country":"NL","time_zone":"Europe/Amsterdam","terminal":"TILLWIRE-V1-t1","tid":""}',1795266053503,NULL,0,'',1,NULL,7,1795266053503,1795266058503,1795266233503,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "transactions" VALUES('1795266053504218049756146996519',1,'shop','t1','merchantapi','PURCHASE','ACCEPTED',301,'EUR','sale-1','{"store_id":"shop-s","store":"Corner Shop","address":"Damrak 1","zip_code":"1012 LG","city":"Amsterdam","country":"NL","time_zone":"Europe/Amsterdam","terminal":"TILLWIRE-V1-t1","tid":""}',1795266053504,NULL,0,'',1,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE INDEX ix_discrepancies_open ON discrepancies (transaction_id) WHERE closed_at IS NULL;
CREATE INDEX ix_transactions_open ON transactions (terminal_id, state, id) WHERE state IN ('ACCEPTED', 'SENT', 'STARTED', 'UNKNOWN');
CREATE INDEX ix_transactions_organisation_id_reference ON transactions (organisation_id, reference);
CREATE INDEX ix_transactions_original_id ON transactions (original_id) WHERE original_id IS NOT NULL;
CREATE INDEX ix_transactions_terminal_id_ended_at ON transactions (terminal_id, ended_at);
CREATE INDEX ix_transactions_terminal_id_id_type ON transactions (terminal_id, id, type);
CREATE INDEX ix_api_keys_organisation_id ON api_keys (organisation_id);
COMMIT;
