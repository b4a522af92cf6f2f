"use strict";
/*
 * A till on Adyen's library: the library's own services carry the messages, its own models make
 * them and read the answers. Nothing here knows tillwire.
 *
 * Commands come on standard input and answers go to standard output, one JSON object a line. The
 * first line says where the terminal is: {address, ca, key: {identifier, version, passphrase}}.
 * Each other is {id, operation, way, header, limit, passphrase?, ...what the operation needs};
 * several may run at a time. An answer is {id, answer, heard, faults}: the message as the library's models have it,
 * as it came (null: without a body), and what of it does not fit them (see models.cjs). Where the
 * library raised an error instead, it is {id, error, heard, faults}.
 */

const readline = require("node:readline");
const {
  Client,
  Config,
  EnvironmentEnum,
  HttpURLConnectionClient,
  NexoCrypto,
  TerminalCloudAPI,
  TerminalLocalAPI,
  Types,
} = require("@adyen/api-library");
// Not among the names that the library exports at its top.
const {
  default: TerminalLocalAPIUnencrypted,
} = require("@adyen/api-library/lib/src/services/terminalLocalAPIUnencrypted");
const { faultsOf } = require("./models.cjs");

const nexo = Types.terminal;
const now = () => new Date().toISOString();

/* How a request reaches the terminal. */

/** The library's HTTP client; it remembers the answer as it came. */
class Listener extends HttpURLConnectionClient {
  async request(...parameters) {
    this.heard = await super.request(...parameters);
    return this.heard;
  }
}

const WAYS = {
  /** Adyen's local connection without encryption: the library does not look at the certificate. */
  clear: (place, client) => {
    const service = new TerminalLocalAPIUnencrypted(client);
    return (request) => service.request(request);
  },
  /** With encryption: the library demands a certificate of this CA, with a terminal's name. */
  encrypted: (place, client, key) => {
    client.config.certificatePath = place.ca;
    const service = new TerminalLocalAPI(client);
    return (request) => service.request(request, key);
  },
  /** The connection to the cloud: an ordinary HTTPS client, which knows the CA by
   * NODE_EXTRA_CA_CERTS and demands a certificate for the host that it calls. */
  cloud: (place, client) => {
    client.config.terminalApiCloudEndpoint = place.address.replace(/\/$/, "");
    const service = new TerminalCloudAPI(client);
    return (request) => service.sync(request);
  },
};

/** Send the request; what the library makes of the answer, and the answer as it came. */
async function exchange(place, { way, limit, passphrase }, request) {
  const key = {
    AdyenCryptoVersion: 1,
    KeyIdentifier: place.key.identifier,
    KeyVersion: place.key.version,
    Passphrase: passphrase ?? place.key.passphrase,
  };
  const config = new Config({
    apiKey: "none is asked for",
    environment: EnvironmentEnum.TEST,
    // The library adds a port and a path of its own, which a fragment keeps from being asked for.
    terminalApiLocalEndpoint: `${place.address}#`,
    connectionTimeoutMillis: limit,
  });
  const listener = new Listener();
  const made = {};
  try {
    made.answer = await WAYS[way](place, new Client(config, listener), key)(request);
  } catch (error) {
    const { message, statusCode } = error;
    made.error = { kind: error.constructor.name, message, statusCode };
  }
  const heard = listener.heard ? opened(JSON.parse(listener.heard), key) : null;
  return { ...made, heard, faults: heard ? faultsOf(heard, "TerminalApiResponse") : [] };
}

/** The message without its encryption, if it has one. */
function opened(message, key) {
  const [sealed] = Object.values(message);
  return sealed.NexoBlob ? JSON.parse(new NexoCrypto().decrypt(sealed, key)) : message;
}

/* What a till says: each operation's category, class and body. */

const { DocumentQualifierType, MessageCategoryType, MessageClassType, OutputFormatType } = nexo;

const transaction = (id, time) => ({ TransactionID: id, TimeStamp: time ?? now() });
const saleData = ({ reference, referenced_at, chain, operator }) => ({
  SaleTransactionID: transaction(reference, referenced_at),
  SaleReferenceID: chain,
  OperatorID: operator,
});
const textOutput = (text) => ({
  OutputFormat: OutputFormatType.Text,
  OutputText: text.split("\n").map((line) => ({ Text: line, EndOfLineFlag: true })),
});
const display = (text, device = nexo.DeviceType.CustomerDisplay) => ({
  Device: device,
  InfoQualify: nexo.InfoQualifyType.Display,
  OutputContent: textOutput(text),
  ResponseRequiredFlag: true,
});
const software = {
  ManufacturerID: "Hollow Creek",
  ApplicationName: "TillKit",
  SoftwareVersion: "0.4.1",
  CertificationCode: "TK-041",
};

const OPERATIONS = {
  login: ({ training }) => ({
    LoginRequest: {
      DateTime: now(),
      SaleSoftware: software,
      SaleTerminalData: {
        TerminalEnvironment: nexo.TerminalEnvironmentType.Attended,
        SaleCapabilities: [nexo.SaleCapabilitiesType.PrinterReceipt],
      },
      OperatorLanguage: "en",
      TrainingModeFlag: training,
    },
  }),
  logout: () => ({ LogoutRequest: {} }),
  diagnosis: ({ hosts }) => ({ DiagnosisRequest: { HostDiagnosisFlag: hosts } }),
  pay: (say) => ({
    PaymentRequest: {
      SaleData: saleData(say),
      PaymentTransaction: {
        AmountsReq: {
          Currency: say.currency ?? "EUR",
          RequestedAmount: say.amount,
          TipAmount: say.tip,
          CashBackAmount: say.cash_back,
        },
        OriginalPOITransaction: say.original && { POITransactionID: say.original },
      },
      PaymentData: (say.type || say.acquired) && {
        PaymentType: say.type,
        CardAcquisitionReference: say.acquired,
      },
    },
  }),
  reverse: (say) => ({
    ReversalRequest: {
      OriginalPOITransaction: { POITransactionID: say.original },
      ReversalReason: nexo.ReversalReasonType[say.reason ?? "MerchantCancel"],
      ReversedAmount: say.amount,
      SaleData: say.reference && saleData(say),
    },
  }),
  abort: ({ aborted, category, device }) => ({
    AbortRequest: {
      AbortReason: "MerchantAbort",
      MessageReference: {
        MessageCategory: category ?? MessageCategoryType.Payment,
        ServiceID: aborted,
        DeviceID: device,
      },
    },
  }),
  status: ({ wanted, category, reprint }) => ({
    TransactionStatusRequest: {
      ReceiptReprintFlag: reprint,
      DocumentQualifier: reprint && [
        DocumentQualifierType.CashierReceipt,
        DocumentQualifierType.CustomerReceipt,
      ],
      MessageReference: wanted && {
        MessageCategory: category ?? MessageCategoryType.Payment,
        ServiceID: wanted,
      },
    },
  }),
  reconcile: ({ type, period }) => ({
    ReconciliationRequest: {
      ReconciliationType: nexo.ReconciliationType[type ?? "SaleReconciliation"],
      POIReconciliationID: period,
    },
  }),
  totals: ({ by, only }) => ({ GetTotalsRequest: { TotalDetails: by, TotalFilter: only } }),
  admin: ({ service }) => ({ AdminRequest: { ServiceIdentification: service } }),
  acquire: (say) => ({
    CardAcquisitionRequest: {
      SaleData: saleData(say),
      CardAcquisitionTransaction: { TotalAmount: say.amount },
    },
  }),
  balance: () => ({ BalanceInquiryRequest: { PaymentAccountReq: {} } }),
  enable: ({ action }) => ({
    EnableServiceRequest: {
      TransactionAction: nexo.TransactionActionType[action],
      ServicesEnabled:
        action === "StartTransaction" ? [nexo.ServicesEnabledType.Payment] : undefined,
    },
  }),
  display: ({ text }) => ({ DisplayRequest: { DisplayOutput: [display(text)] } }),
  print: ({ text }) => ({
    PrintRequest: {
      PrintOutput: {
        DocumentQualifier: DocumentQualifierType.Document,
        ResponseMode: nexo.ResponseModeType.PrintEnd,
        OutputContent: textOutput(text),
      },
    },
  }),
  input: ({ text, command, seconds }) => ({
    InputRequest: {
      DisplayOutput: display(text, nexo.DeviceType.CustomerInput),
      InputData: {
        Device: nexo.DeviceType.CustomerInput,
        InfoQualify: nexo.InfoQualifyType.Input,
        InputCommand: nexo.InputCommandType[command],
        MaxInputTime: seconds ?? 10,
      },
    },
  }),
};

/** A whole message, of the library's own models. Any member of the header may be told. */
function requestOf({ operation, header, ...say }) {
  const body = OPERATIONS[operation](say);
  const category = Object.keys(body)[0].replace(/Request$/, "");
  const isDevice = ["Display", "Print", "Input"].includes(category);
  const message = {
    SaleToPOIRequest: {
      MessageHeader: {
        ProtocolVersion: "3.0",
        MessageClass: isDevice ? MessageClassType.Device : MessageClassType.Service,
        MessageCategory: category,
        MessageType: nexo.MessageType.Request,
        ...header,
      },
      ...body,
    },
  };
  return nexo.ObjectSerializer.deserialize(message, "TerminalApiRequest");
}

let place = null;
readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  if (place === null) {
    place = JSON.parse(line);
    return;
  }
  const command = JSON.parse(line);
  const answered = await exchange(place, command, requestOf(command));
  process.stdout.write(JSON.stringify({ id: command.id, ...answered }) + "\n");
});
